package io.llamafu.llamacpp;

import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineProvider;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.support.MemoryBudget;

/** Provides the engine {@code native}. */
public final class LlamaCppEngineProvider implements EngineProvider {
    static final String NAME = "native";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public int priority() {
        return 100;
    }

    @Override
    public boolean isAvailable() {
        return NativeLibrary.isPackaged();
    }

    @Override
    public ModelChat inspect(EngineOptions options) {
        return MemoryBudget.inspect(options);
    }

    @Override
    public NeededMemory neededMemory(EngineOptions options) {
        return MemoryBudget.foretold(options);
    }

    @Override
    public EngineMetrics.Memory plannedMemory(EngineOptions options) {
        return LlamaCppEngine.memoryNeeded(options);
    }

    @Override
    public InferenceEngine open(EngineOptions options) {
        return LlamaCppEngine.open(options);
    }
}
