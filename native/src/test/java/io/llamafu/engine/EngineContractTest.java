package io.llamafu.engine;

import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/**
 * The promises of every engine. An engine's own test extends this class; a promise that it does not keep is overridden
 * there with the reason, and listed in {@code docs/engines.md}.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class EngineContractTest
        implements AnswerContract,
                AdapterContract,
                SamplingContract,
                RequestContract,
                FutureContract,
                MemoContract,
                TextContract {
    private InferenceEngine engine;

    @BeforeAll
    void openEngine() {
        engine = open(TinyModel.options().build());
    }

    @AfterAll
    void closeEngine() {
        engine.close();
    }

    @Override
    public final InferenceEngine engine() {
        return engine;
    }
}
