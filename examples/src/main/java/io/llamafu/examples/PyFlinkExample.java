package io.llamafu.examples;

import io.llamafu.examples.cluster.BuildOutput;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs {@code pyflink/notes.py}, which starts a Flink of its own, and checks its last line. */
@Command(
        name = "examples/run pyflink",
        description = {
            "Labels notes in a PyFlink Table program.",
            "The environment variable PYTHON names a Python with the package apache-flink 2.3; the default is python3."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class PyFlinkExample implements ExampleCommand<PyFlinkExample.Report> {
    @Option(
            names = "--examples",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}",
            description = "The folder that contains pyflink and models.")
    private Path examples;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /**
     * The last line of the script.
     *
     * @param answers of ML_PREDICT
     * @param exact those that are exactly the known ones
     */
    record Report(int answers, int exact) implements ExampleReport {
        /** Up to 1 % of the known answers are near ties, which rounding decides. */
        private static final double LEAST_EXACT = 0.99;

        @Override
        public boolean isSound() {
            return answers > 0 && exact >= LEAST_EXACT * answers;
        }
    }

    public static void main(String[] arguments) {
        Examples.runAndExit("pyflink", new PyFlinkExample(), arguments);
    }

    /** Whether {@code PYTHON} has PyFlink. */
    static boolean isInstalled() throws InterruptedException {
        try {
            Process process = new ProcessBuilder(python(), "-c", "import pyflink.table")
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
            return process.waitFor() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private static String python() {
        return System.getenv().getOrDefault("PYTHON", "python3");
    }

    @Override
    public Report run() throws Exception {
        model.requireReadable();
        List<String> command = new ArrayList<>(List.of(
                python(),
                examples.resolve("pyflink/notes.py").toString(),
                "--jar=" + BuildOutput.llamafuJar(),
                "--notes=" + examples.resolve("models/golden.jsonl").toAbsolutePath()));
        command.addAll(model.toArguments().stream()
                .filter(argument -> !argument.startsWith("--threads"))
                .toList());
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String printed;
        try {
            printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        } finally {
            process.destroy();
        }
        if (process.waitFor() != 0) {
            throw new IOException("The script ended with code %d. %s needs the package apache-flink, as in '%s'."
                    .formatted(process.exitValue(), python(), "pip install apache-flink==2.3.0"));
        }
        int last = printed.lastIndexOf('\n') + 1;
        System.out.println(printed.substring(0, last));
        return JsonLines.of(Report.class).read(printed.substring(last).getBytes(StandardCharsets.UTF_8));
    }
}
