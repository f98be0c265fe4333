package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

class MergeAdaptersTest {
    private static final Path MODELS = Path.of(System.getProperty("basedir", "."), "models");

    private final StringWriter output = new StringWriter();
    private final StringWriter errors = new StringWriter();

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"medical:0.8+formal:0.5", "medical:0.8,formal:0.5", "medical:0.8 formal:0.5"})
    void theStackIsWrittenInOneOrSeveralParts(String stack) {
        Path out = folder.resolve("formal-medical.gguf");

        assertThat(run(out, stack.split(" "))).as(errors.toString()).isZero();
        assertThat(output.toString())
                .startsWith(out.toString())
                .containsPattern("rank +8\n")
                .containsPattern("alpha +25\\.6\n")
                .containsPattern("tensors +56 F16\n")
                .containsPattern("sha256 +[0-9a-f]{64}\n")
                .containsPattern("card +Merged from medical:0\\.8 \\(sha256 ae4492f9d7de\\) \\+ formal:0\\.5 \\(");
        assertThat(folder.resolve("formal-medical.json")).exists();
    }

    @Test
    void theTypeMayBeF32() throws Exception {
        Path out = folder.resolve("merged.gguf");

        assertThat(run(out, "medical:-1", "--type", "f32"))
                .as(errors.toString())
                .isZero();
        assertThat(Files.size(out)).isGreaterThan(140_000);
    }

    @Test
    void anErrorIsALineWithItsCode() {
        assertThat(run(folder.resolve("merged.gguf"), "medical+nobody")).isEqualTo(1);
        assertThat(errors.toString())
                .startsWith("merge failed: ADAPTER_NOT_FOUND: There is no adapter 'nobody'")
                .hasLineCount(1);
    }

    @Test
    void theOutputIsRequired() {
        assertThat(MergeAdapters.commandLine()
                        .setErr(new PrintWriter(errors, true))
                        .execute("medical"))
                .isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(errors.toString()).contains("--output");
    }

    private int run(Path out, String... arguments) {
        String[] all = Arrays.copyOf(arguments, arguments.length + 6);
        String[] options = {
            "--output", out.toString(),
            "--model", MODELS.resolve("tiny-notes-q8_0.gguf").toString(),
            "--adapters", MODELS.resolve("adapters").toString()
        };
        System.arraycopy(options, 0, all, arguments.length, options.length);
        return MergeAdapters.commandLine()
                .setOut(new PrintWriter(output, true))
                .setErr(new PrintWriter(errors, true))
                .execute(all);
    }
}
