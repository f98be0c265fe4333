package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

class ConvertPeftTest {
    private static final Path MODELS = Path.of(System.getProperty("basedir", "."), "models");

    private final StringWriter output = new StringWriter();
    private final StringWriter errors = new StringWriter();

    @TempDir
    private Path folder;

    @Test
    void printsASummary() {
        Path out = folder.resolve("medical.gguf");

        assertThat(run(out, "--base", MODELS.resolve("tiny-notes-q8_0.gguf").toString()))
                .isZero();
        assertThat(errors.toString()).isEmpty();
        assertThat(output.toString())
                .startsWith(out.toString())
                .containsPattern("architecture +llama\n")
                .containsPattern("rank +4\n")
                .containsPattern("alpha +16\\.0\n")
                .containsPattern("modules +attn_k, attn_output, attn_q, attn_v, ffn_down, ffn_gate, ffn_up\n")
                .containsPattern("tensors +56 F16\n")
                .containsPattern("bytes +75776\n")
                .containsPattern("sha256 +[0-9a-f]{64}\n");
    }

    @Test
    void theBaseIsNotOverwritten() throws Exception {
        Path base = Files.copy(MODELS.resolve("tiny-notes-q8_0.gguf"), folder.resolve("base.gguf"));

        assertThat(run(base, "--base", base.toString())).isEqualTo(1);
        assertThat(errors.toString()).contains("INVALID_OPTION", "is the input '" + base + "'");
        assertThat(base).hasSameBinaryContentAs(MODELS.resolve("tiny-notes-q8_0.gguf"));
    }

    @Test
    void theTypeMayBeF32() throws Exception {
        Path out = folder.resolve("medical.gguf");

        assertThat(run(out, "--base", MODELS.resolve("base-hf/config.json").toString(), "--type", "f32"))
                .isZero();
        assertThat(Files.size(out)).isGreaterThan(140_000);
    }

    @Test
    void anErrorIsALineWithItsCode() {
        assertThat(run(folder.resolve("medical.gguf"), "--base", "nowhere.gguf"))
                .isEqualTo(1);
        assertThat(errors.toString())
                .isEqualTo("convert-peft failed: MODEL_NOT_FOUND:"
                        + " The model 'nowhere.gguf' does not exist; check the path on this machine.\n");
    }

    @Test
    void theBaseIsRequired() {
        assertThat(run(folder.resolve("medical.gguf"))).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(errors.toString()).contains("--base");
    }

    private int run(Path out, String... options) {
        String[] arguments = new String[options.length + 2];
        arguments[0] = MODELS.resolve("medical-peft").toString();
        arguments[1] = out.toString();
        System.arraycopy(options, 0, arguments, 2, options.length);
        return ConvertPeft.commandLine()
                .setOut(new PrintWriter(output, true))
                .setErr(new PrintWriter(errors, true))
                .execute(arguments);
    }
}
