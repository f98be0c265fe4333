package io.llamafu.llamacpp;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
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

    @Test
    void fetchSaysWhetherTheIndexWasReached() throws Exception {
        install(
                "bash",
                "cut",
                "dirname",
                "flock",
                "grep",
                "mkdir",
                "mktemp",
                "rm",
                "sha256sum",
                "tail",
                "timeout",
                "tr");
        Path pip = Files.writeString(
                programs.resolve("python3"), "#!/bin/sh\n[ \"$3\" = --version ] || { echo \"$PIP_SAYS\"; exit 1; }\n");
        Files.setPosixFilePermissions(pip, PosixFilePermissions.fromString("rwx------"));

        Result unreachable = run(
                Map.of("PIP_SAYS", "NewConnectionError('Failed to establish a new connection')"),
                "../examples/models/fetch",
                "gemma3-270m");
        Result missing =
                run(Map.of("PIP_SAYS", "No matching distribution found"), "../examples/models/fetch", "gemma3-270m");

        assertThat(unreachable.exitCode).as(unreachable.output).isEqualTo(75);
        assertThat(missing.exitCode).as(missing.output).isEqualTo(1);
        assertThat(missing.output).contains("No matching distribution found");
    }

    @Test
    void onlyNamedTestsMayBeSkipped() throws Exception {
        report("RealParityTest", "gemma3AnswersAsTransformers");
        report("MigrationIT", "writeSavepoints(Written)[1]");

        Result withoutModels = checkSkipped("--without-models");
        Result withModels = checkSkipped();

        assertThat(withoutModels.exitCode).as(withoutModels.output).isZero();
        assertThat(withoutModels.output)
                .contains("2 of 4 tests were skipped.")
                .contains("MigrationIT.writeSavepoints: ");
        assertThat(withModels.exitCode).isNotZero();
        assertThat(withModels.output)
                .contains("RealParityTest.gemma3AnswersAsTransformers: ERROR")
                .contains("1 skipped tests are not in .ci/skipped-tests.tsv");
    }

    @Test
    void skippedTestsAreNotJudgedWithoutReports() throws Exception {
        Result result = checkSkipped();

        assertThat(result.exitCode).isNotZero();
        assertThat(result.output).contains("there are no reports of tests");
    }

    private void report(String test, String method) throws IOException {
        Path reports = Files.createDirectories(folder.resolve("module/target/surefire-reports"));
        Files.writeString(
                reports.resolve("TEST-" + test + ".xml"),
                "<testsuite><testcase classname='io.llamafu.%1$s' name='%2$s'><skipped/></testcase><testcase classname='io.llamafu.%1$s' name='other'/></testsuite>"
                        .formatted(test, method));
    }

    private Result checkSkipped(String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of("../.ci/check-skipped"));
        command.addAll(List.of(options));
        command.add(folder.toString());
        return run(Map.of("PATH", System.getenv("PATH")), command.toArray(String[]::new));
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
