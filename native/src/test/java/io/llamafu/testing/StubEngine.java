package io.llamafu.testing;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineMetrics.Memory;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** An engine without a model and without adapters; tests override what they need. */
public abstract class StubEngine implements InferenceEngine {

    /** Of a model whose file is empty. */
    public static final CompletionResult.Computation COMPUTATION = new CompletionResult.Computation(
            Sha256.of(""), "stub", SamplingOptions.greedy(), CompletionRequest.DEFAULT_MAX_TOKENS, List.of());

    /** A short answer without adapters. */
    protected static CompletionResult answer(String text) {
        return new CompletionResult(
                text,
                FinishReason.END_OF_GENERATION,
                1,
                0,
                1,
                List.of(),
                COMPUTATION,
                new CompletionResult.Timings(0, 0, 0));
    }

    @Override
    public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
        throw new AssertionError("not asked");
    }

    @Override
    public int countTokens(Prompt prompt) {
        return prompt.toString().length();
    }

    @Override
    public List<LoadedAdapter> adapters() {
        return List.of();
    }

    @Override
    public CompatibilityReport check(Path file) {
        return CompatibilityReport.of(List.of());
    }

    @Override
    public CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        return CompletableFuture.completedFuture(List.of());
    }

    @Override
    public boolean unload(String name) {
        return false;
    }

    @Override
    public int clear() {
        return 0;
    }

    @Override
    public boolean isOpen() {
        return true;
    }

    @Override
    public EngineMetrics metrics() {
        return metrics(new Memory(0, 0, 0, 0));
    }

    protected static EngineMetrics metrics(Memory memory) {
        return metrics(0, memory);
    }

    /** 16 sequences, none of them active. */
    protected static EngineMetrics metrics(long adapterBudget, Memory memory) {
        return new EngineMetrics(
                new EngineMetrics.Requests(0, 0, 0, 0, 0),
                new EngineMetrics.Decoding(0, 0, 0, 0, 0),
                new EngineMetrics.Sequences(0, 16, 0, 0, 0),
                new EngineMetrics.Adapters(0, 0, 0, 0, adapterBudget),
                memory);
    }

    @Override
    public void close() {}
}
