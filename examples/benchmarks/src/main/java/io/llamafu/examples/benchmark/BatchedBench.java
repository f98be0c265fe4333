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
        Path log = Files.createTempFile("llama-batched-bench", ".log");
        try {
            Process process = new ProcessBuilder(command(workload))
                    .redirectError(log.toFile())
                    .start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int exitCode = process.waitFor();
            if (exitCode != 0) {
                throw new IOException("%s ended with %d: %s".formatted(program, exitCode, Files.readString(log)));
            }
            return speed(output);
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

    /** The single line of JSON in its output. */
    static Workload.Speed speed(String output) throws IOException {
        String line = output.lines()
                .filter(candidate -> candidate.startsWith("{"))
                .findFirst()
                .orElseThrow(() -> new IOException("llama-batched-bench prints no result: " + output));
        JsonNode result = new ObjectMapper().readTree(line);
        return new Workload.Speed(
                result.path("speed_pp").asDouble(), result.path("speed_tg").asDouble());
    }
}
