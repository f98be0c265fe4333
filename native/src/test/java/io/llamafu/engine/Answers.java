package io.llamafu.engine;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import static org.assertj.core.api.Assertions.assertThat;

/** Asks an engine of the tiny model, and waits for the answers. */
public final class Answers {
    public static final String PROMPT = TinyModel.prompt("Patient W99 reports chest pain in a mild form.");
    public static final AdapterStack MEDICAL = AdapterStack.parse("medical");
    /** Bans the end-of-sequence token of the tiny model, so that an answer runs to its token limit. */
    private static final SamplingOptions ENDLESS = SamplingOptions.builder()
            .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
            .build();

    private Answers() {}

    public static CompletionResult answer(InferenceEngine engine, CompletionRequest request) throws Exception {
        return engine.submit(request).get(60, TimeUnit.SECONDS);
    }

    public static LlamafuException failure(CompletableFuture<CompletionResult> future)
            throws InterruptedException, TimeoutException {
        try {
            CompletionResult unexpected = future.get(60, TimeUnit.SECONDS);
            throw new AssertionError("Expected a failure, but got " + unexpected);
        } catch (ExecutionException e) {
            assertThat(e.getCause()).isInstanceOf(LlamafuException.class);
            return (LlamafuException) e.getCause();
        }
    }

    /** A request whose answer runs until its sequence is full; on an engine of {@link TinyModel#longOptions} forever. */
    public static CompletionRequest endless() {
        return endless(Integer.MAX_VALUE);
    }

    static CompletionRequest endless(int tokens) {
        return CompletionRequest.of(PROMPT, MEDICAL).withSampling(ENDLESS).withMaxTokens(tokens);
    }

    static void awaitActive(InferenceEngine engine, int sequences) throws Exception {
        Await.until(
                sequences + " active sequences",
                () -> engine.metrics().sequences().active() == sequences);
    }
}
