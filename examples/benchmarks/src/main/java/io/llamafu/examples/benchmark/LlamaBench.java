package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Runs llama.cpp's {@code llama-bench}, which loads the model each time and warms up; neither is measured. */
final class LlamaBench {
    static final String NAME = "llama-bench";

    private final Path program;
    private final Path model;
    private final int threads;

    LlamaBench(Path program, Path model, int threads) {
        this.program = program;
        this.model = model;
        this.threads = threads;
    }

    /** Tokens per second of a prompt of so many tokens. */
    double prefill(int tokens) throws IOException, InterruptedException {
        return speed(BatchedBench.output(
                List.of(
                        program.toString(),
                        "-m",
                        model.toString(),
                        "-p",
                        Integer.toString(tokens),
                        "-n",
                        "0",
                        "-r",
                        "1",
                        "-t",
                        Integer.toString(threads),
                        "-o",
                        "json"),
                false));
    }

    /** The single result in its output, an array of JSON. */
    static double speed(String output) throws IOException {
        JsonNode speed = new ObjectMapper().readTree(output).path(0).path("avg_ts");
        if (!speed.isNumber()) {
            throw new IOException("llama-bench prints no avg_ts: " + output);
        }
        return speed.asDouble();
    }
}
