package io.llamafu.jllama;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineProvider;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.support.MemoryBudget;

/** Provides the engine {@code java-llama.cpp} where {@code de.kherud:llama} has a library for the platform. */
public final class JavaLlamaCppEngineProvider implements EngineProvider {
    @Override
    public String name() {
        return JavaLlamaCppEngine.NAME;
    }

    @Override
    public int priority() {
        return 50;
    }

    @Override
    public boolean isAvailable() {
        return BindingLibrary.isPackaged();
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
    public InferenceEngine open(EngineOptions options) {
        return JavaLlamaCppEngine.open(options);
    }
}
