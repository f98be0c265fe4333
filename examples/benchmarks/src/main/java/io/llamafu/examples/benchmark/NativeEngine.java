package io.llamafu.examples.benchmark;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.EngineProvider;

import java.nio.file.Path;

/** The options of the compared engines. */
final class NativeEngine {
    /** Ours: each row of a batch with its own adapters. */
    static final String MIXED = "native, mixed";
    /** llama.cpp's own LoRA: one stack per decode call, and so one decode call per stack. */
    static final String GROUPED = "native, grouped";

    private static final int CELLS = 256;

    private static final EngineProvider NATIVE = EngineCompetitor.requiredProvider("native");

    private NativeEngine() {}

    static EngineOptions.Builder options(Path model, Path adapters, Workload most, int threads) {
        return options(model, most, threads).adapters(adapters);
    }

    static EngineOptions.Builder options(Path model, Workload most, int threads) {
        return EngineOptions.builder(model)
                .contextSize(padded(most.promptTokens() + most.tokens()))
                .parallelSequences(most.sequences())
                .threads(threads);
    }

    /** llama.cpp gives a sequence a multiple of this many cells anyway. */
    private static int padded(int tokens) {
        return (tokens + CELLS - 1) / CELLS * CELLS;
    }

    static Competitor open(EngineOptions.Builder options, LoraBatching batching) {
        return EngineCompetitor.open(NATIVE, options.loraBatching(batching).build());
    }
}
