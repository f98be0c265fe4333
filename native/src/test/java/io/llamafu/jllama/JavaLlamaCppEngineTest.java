package io.llamafu.jllama;

import io.llamafu.engine.EngineContractTest;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;

/** The engine java-llama.cpp, with the limits that {@code docs/engines.md} lists. */
class JavaLlamaCppEngineTest extends EngineContractTest {
    @Override
    protected InferenceEngine open(EngineOptions options) {
        return JavaLlamaCppEngine.open(options);
    }

    /** It decodes one stack at a time, so all of them take long. */
    @Override
    protected int goldenSample() {
        return 300;
    }
}
