package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.CompletionResult.Timings;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.StubEngine;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** An engine whose answers the test provides, to reach moments at which a real one does not stop. */
final class ScriptedEngine extends StubEngine {
    private final List<CompletionRequest> requests = new ArrayList<>();
    private final List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
    private final List<AdapterStack> preloads = new ArrayList<>();
    private final List<CompletableFuture<List<AppliedAdapter>>> preloaded = new ArrayList<>();
    private ModelChat chat = ModelChat.NONE;
    private int closedLeases;
    private boolean open = true;
    private boolean attended;
    private long adapterBudget = 77;

    SharedEngines.Lease lease() {
        return new SharedEngines.Lease(this, false, () -> closedLeases++);
    }

    /** The chat template of the model. */
    void chat(ModelChat newChat) {
        chat = newChat;
    }

    @Override
    public ModelChat modelChat() {
        return chat;
    }

    @Override
    public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
        if (request.prompt().equals(Prompt.text("throw"))) {
            throw new IllegalStateException("against the contract");
        }
        requests.add(request);
        CompletableFuture<CompletionResult> answer = new CompletableFuture<>();
        answers.add(answer);
        return answer;
    }

    List<CompletionRequest> requests() {
        return requests;
    }

    CompletableFuture<CompletionResult> answer(int index) {
        return answers.get(index);
    }

    void answer(int index, String text) {
        List<AppliedAdapter> adapters = requests.get(index).adapters().entries().stream()
                .map(entry -> new AppliedAdapter(entry.name(), entry.scale().orElse(1f), "digest of " + entry.name()))
                .toList();
        answers.get(index)
                .complete(new CompletionResult(
                        text,
                        FinishReason.END_OF_GENERATION,
                        7,
                        3,
                        5,
                        adapters,
                        COMPUTATION,
                        new Timings(1.5, 2.5, 3.5)));
    }

    void fail(int index, ErrorCode code, String message) {
        answers.get(index).completeExceptionally(new LlamafuException(code, message));
    }

    int closedLeases() {
        return closedLeases;
    }

    @Override
    public CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        CompletableFuture<List<AppliedAdapter>> loading = new CompletableFuture<>();
        preloads.add(stack);
        preloaded.add(loading);
        return loading;
    }

    List<AdapterStack> preloads() {
        return preloads;
    }

    void endPreloads() {
        preloaded.forEach(loading -> loading.complete(List.of()));
    }

    void attended() {
        attended = true;
    }

    void unattended() {
        attended = false;
    }

    @Override
    public Duration unattendedFor() {
        return attended ? Duration.ZERO : super.unattendedFor();
    }

    /** The most bytes of adapters; 0 is no limit. */
    void adapterBudget(long bytes) {
        adapterBudget = bytes;
    }

    @Override
    public EngineMetrics metrics() {
        return new EngineMetrics(
                new EngineMetrics.Requests(0, 0, 0, 9, 4),
                new EngineMetrics.Decoding(0, 0, 0, 0, 50),
                new EngineMetrics.Sequences(2, 16, 100, 64, 8192),
                new EngineMetrics.Adapters(3, 6, 2, 1, adapterBudget),
                new EngineMetrics.Memory(1000, 200, 30, 5));
    }

    @Override
    public boolean isOpen() {
        return open;
    }

    @Override
    public void close() {
        open = false;
    }
}
