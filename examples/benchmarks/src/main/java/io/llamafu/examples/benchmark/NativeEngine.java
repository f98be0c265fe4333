package io.llamafu.examples.benchmark;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.EngineProvider;

import java.nio.file.Path;

/** The compared forms of the engine {@code native}. */
enum NativeEngine {
    /** Ours: each row of a batch with its own adapters, products by our kernels. */
    MIXED("native, mixed", LoraBatching.MIXED, true),
    /** The same with llama.cpp's kernels. */
    NOT_PACKED("native, mixed, not packed", LoraBatching.MIXED, false),
    /** llama.cpp's own LoRA and kernels: one stack per decode call, and so one decode call per stack. */
    GROUPED("native, grouped, not packed", LoraBatching.GROUPED, false);

    private static final int CELLS = 256;

    private static final EngineProvider NATIVE = EngineCompetitor.requiredProvider("native");

    private final String title;
    private final LoraBatching batching;
    private final boolean packed;

    NativeEngine(String title, LoraBatching batching, boolean packed) {
        this.title = title;
        this.batching = batching;
        this.packed = packed;
    }

    String title() {
        return title;
    }

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

    Competitor open(EngineOptions.Builder options) {
        return EngineCompetitor.open(
                NATIVE, options.loraBatching(batching).packedWeights(packed).build());
    }
}
