package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.concurrent.CompletableFuture;

/**
 * One model that answers many requests at a time. Implementations are thread-safe.
 *
 * <pre>{@code
 * try (InferenceEngine engine = LlamaCppEngine.open(options)) {
 *     Completion answer = engine.submit(CompletionRequest.of(prompt, AdapterStack.parse("medical"))).join();
 * }
 * }</pre>
 */
public interface InferenceEngine extends AutoCloseable {

    /**
     * Queues a request. Never throws and never blocks on the model: whatever goes wrong completes the future with a
     * {@link LlamafuException}. Cancelling the future frees the request's sequence at the next decode step.
     *
     * <p>The future is completed by the engine's own thread: continuations must be short.
     */
    CompletableFuture<Completion> submit(CompletionRequest request);

    /**
     * How many tokens a text is as a whole prompt, with the beginning-of-sequence token where the model has one; what
     * {@link Completion#promptTokens()} says of it. Does not wait for the model.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_TEXT} for an unpaired surrogate, {@link
     *     ErrorCode#ENGINE_CLOSED} if the engine is closed
     */
    int countTokens(String text);

    /** Whether it still answers; false once it was closed or has failed for good. */
    boolean isOpen();

    /** What the engine is doing now; cheap enough to poll. */
    EngineMetrics metrics();

    /**
     * Stops a running decode, completes every open future with {@link ErrorCode#ENGINE_CLOSED} and frees the model.
     * Idempotent; does not throw.
     */
    @Override
    void close();
}
