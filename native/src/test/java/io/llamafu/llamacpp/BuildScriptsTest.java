package io.llamafu.llamacpp;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Builds and downloads fail with a message that says what to do. */
class BuildScriptsTest {
    @TempDir
    Path folder;

    /** A PATH with only the programs of this test. */
    private Path programs;

    @BeforeEach
    void createPrograms() throws IOException {
        programs = Files.createDirectory(folder.resolve("bin"));
    }

    @Test
    void missingToolsAreNamedWithTheCommandThatInstallsThem() throws Exception {
        install("bash", "dirname", "uname", "getconf", "gcc", "flock", "sha512sum");

        Result result = run(Map.of(), "./build-native.sh", "--target=" + folder);

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output)
                .contains("these programs are missing: g++.")
                .contains("apt-get install g++ make cmake git npm")
                .contains("-Dnative.skip");
    }

    @Test
    void llamaCppDirMustBeThePinnedSource() throws Exception {
        install("bash", "dirname", "git", "flock", "sha512sum", "tar");

        Result result = run(Map.of("LLAMA_CPP_DIR", folder.toString()), "./fetch-llama-cpp.sh");

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output)
                .contains("LLAMA_CPP_DIR must be a git checkout of llama.cpp v0.5.0, but of " + folder)
                .contains("it is not a git checkout");
    }

    @Test
    void unknownInstructionSetIsRefused() throws Exception {
        Result result = run(
                Map.of("PATH", System.getenv("PATH")), "./build-native.sh", "--march=pentium-9", "--target=" + folder);

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output).contains("native.march=pentium-9 is no instruction set that");
    }

    @Test
    void fetchedModelMustBeThePinnedFile() throws Exception {
        Path other = Files.writeString(folder.resolve("other.gguf"), "GGUF");

        Result result = run(
                Map.of("PATH", System.getenv("PATH")),
                "../examples/models/fetch",
                "gemma3-270m",
                "--from",
                other.toString());

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output)
                .contains(other + " is not gemma-3-270m-q4_k_m.gguf")
                .contains("SHA-256");
        assertThat(folder.resolve("cache/models/gemma3-270m")).isEmptyDirectory();
    }

    @Test
    void fetchNamesWhatIsMissing() throws Exception {
        install("bash", "dirname", "flock", "mkdir", "mktemp", "rm");

        Result result = run(Map.of(), "../examples/models/fetch", "smollm2-135m-instruct");

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output)
                .contains("python3 is needed")
                .contains("apt-get install python3-pip")
                .contains("--from FILE");
    }

    private record Result(int exitCode, String output) {}

    private void install(String... names) throws IOException {
        for (String name : names) {
            Files.createSymbolicLink(programs.resolve(name), find(name));
        }
    }

    private static Path find(String program) {
        return List.of(System.getenv("PATH").split(":")).stream()
                .map(entry -> Path.of(entry, program))
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow();
    }

    private Result run(Map<String, String> environment, String... command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().clear();
        builder.environment().put("PATH", programs.toString());
        builder.environment().put("LLAMAFU_CACHE", folder.resolve("cache").toString());
        builder.environment().putAll(environment);
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), output);
    }
}
