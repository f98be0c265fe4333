package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Runs llama.cpp's {@code llama-batched-bench}, which loads the model each time; loading is not measured. */
final class BatchedBench {
    static final String NAME = "llama-batched-bench";

    private final Path program;
    private final Path model;
    private final int threads;

    BatchedBench(Path program, Path model, int threads) {
        this.program = program;
        this.model = model;
        this.threads = threads;
    }

    Workload.Speed measure(Workload workload) throws IOException, InterruptedException {
        return speed(output(command(workload)));
    }

    /** What a program prints. */
    static String output(List<String> command) throws IOException, InterruptedException {
        Path log = Files.createTempFile("llamafu-benchmark", ".log");
        try {
            Process process =
                    new ProcessBuilder(command).redirectError(log.toFile()).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int exitCode = process.waitFor();
            if (exitCode != 0) {
                throw new IOException(
                        "%s ended with %d: %s".formatted(command.get(0), exitCode, Files.readString(log)));
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
                Integer.toString(threads),
                "--output-format",
                "jsonl");
    }

    /** The single line of JSON in a program's output. */
    static String line(String name, String output) throws IOException {
        return output.lines()
                .filter(candidate -> candidate.startsWith("{"))
                .findFirst()
                .orElseThrow(() -> new IOException(name + " prints no result: " + output));
    }

    static Workload.Speed speed(String output) throws IOException {
        JsonNode result = new ObjectMapper().readTree(line(NAME, output));
        return new Workload.Speed(
                result.path("speed_pp").asDouble(), result.path("speed_tg").asDouble());
    }
}
