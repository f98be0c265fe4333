package io.llamafu.examples.benchmark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Runs llama.cpp's {@code llama-batched-bench}, which loads the model each time; loading is not measured. */
final class BatchedBench {
    static final String NAME = "llama-batched-bench";

    /** PP, TG, B, N_KV, T_PP s, S_PP t/s, T_TG s, S_TG t/s, and sums of both. */
    private static final Pattern ROW = Pattern.compile(
            "^\\|(?: *\\d+ \\|){4} *[\\d.]+ \\| *(?<prefill>[\\d.]+) \\| *[\\d.]+ \\| *(?<decode>[\\d.]+) \\|",
            Pattern.MULTILINE);

    private final Path program;
    private final Path model;
    private final int threads;

    BatchedBench(Path program, Path model, int threads) {
        this.program = program;
        this.model = model;
        this.threads = threads;
    }

    Workload.Speed measure(Workload workload) throws IOException, InterruptedException {
        return speed(output(command(workload), true));
    }

    /** What a program prints, with what it logs or without. */
    static String output(List<String> command, boolean withLog) throws IOException, InterruptedException {
        Path log = Files.createTempFile("llamafu-benchmark", ".log");
        try {
            ProcessBuilder builder = new ProcessBuilder(command);
            Process process =
                    (withLog ? builder.redirectErrorStream(true) : builder.redirectError(log.toFile())).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int exitCode = process.waitFor();
            if (exitCode != 0) {
                throw new IOException(
                        "%s ended with %d: %s%s".formatted(command.get(0), exitCode, output, Files.readString(log)));
            }
            return output;
        } finally {
            Files.deleteIfExists(log);
        }
    }

    private List<String> command(Workload workload) {
        int cells = workload.sequences() * (workload.promptTokens() + workload.tokens());
        return List.of(
                program.toString(),
                "-m",
                model.toString(),
                "-c",
                Integer.toString(cells),
                "-b",
                "2048",
                "-ub",
                "512",
                "-npp",
                Integer.toString(workload.promptTokens()),
                "-ntg",
                Integer.toString(workload.tokens()),
                "-npl",
                Integer.toString(workload.sequences()),
                "-t",
                Integer.toString(threads),
                "-tb",
                Integer.toString(threads));
    }

    /** The single row of its table, in whose columns S_PP and S_TG the speeds are. */
    static Workload.Speed speed(String output) throws IOException {
        Matcher row = ROW.matcher(output);
        if (!row.find()) {
            throw new IOException(NAME + " prints no result: " + output);
        }
        return new Workload.Speed(Double.parseDouble(row.group("prefill")), Double.parseDouble(row.group("decode")));
    }
}
