package io.llamafu.testing;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;

import static java.util.Objects.requireNonNull;

/** Forwards everything to another engine; subclasses override what differs. */
public abstract class ForwardingEngine implements InferenceEngine {
    private final InferenceEngine engine;

    protected ForwardingEngine(InferenceEngine engine) {
        this.engine = requireNonNull(engine, "engine is null");
    }

    protected final InferenceEngine engine() {
        return engine;
    }

    @Override
    public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
        return engine.submit(request);
    }

    @Override
    public int countTokens(Prompt prompt) {
        return engine.countTokens(prompt);
    }

    @Override
    public List<LoadedAdapter> adapters() {
        return engine.adapters();
    }

    @Override
    public CompatibilityReport check(Path file) {
        return engine.check(file);
    }

    @Override
    public CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        return engine.preload(stack);
    }

    @Override
    public boolean unload(String name) {
        return engine.unload(name);
    }

    @Override
    public int clear() {
        return engine.clear();
    }

    @Override
    public boolean isOpen() {
        return engine.isOpen();
    }

    @Override
    public Duration unattendedFor() {
        return engine.unattendedFor();
    }

    @Override
    public ModelChat modelChat() {
        return engine.modelChat();
    }

    @Override
    public EngineMetrics metrics() {
        return engine.metrics();
    }

    @Override
    public void close() {
        engine.close();
    }
}
