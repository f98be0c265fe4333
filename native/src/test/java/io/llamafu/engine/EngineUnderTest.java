package io.llamafu.engine;

/** The engine that a contract is checked on. */
interface EngineUnderTest {
    /** Opens another engine. */
    InferenceEngine open(EngineOptions options);

    /** An engine with the adapters of the tiny model, open for all tests. */
    InferenceEngine engine();

    /** How many of the 3,000 golden answers to ask for, in random order. */
    int goldenSample();
}
