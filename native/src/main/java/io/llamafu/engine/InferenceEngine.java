package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;

import java.time.Duration;
import java.util.List;
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

    /**
     * Every adapter that the engine knows: those of its catalog, in memory or not, by name; then versions in memory that no
     * name stands for any more, because they were published again or removed while they were used.
     *
     * <p>Reads the headers of files that are not in memory, so it may wait for files.
     */
    List<LoadedAdapter> adapters();

    /**
     * Loads the adapters of a stack, all or none, so that the first request need not wait for them. They stay in memory
     * like those that a request has used: until the budget needs their room, or {@link #unload}.
     *
     * <p>Takes the room of idle adapters; does not wait for running sequences to give up theirs. The future has what the
     * stack resolves to now, or fails with a {@link LlamafuException}: ADAPTER_NOT_FOUND, ADAPTER_INVALID,
     * ADAPTER_INCOMPATIBLE, ADAPTER_LOAD_FAILED, OUT_OF_MEMORY, INVALID_REQUEST or ENGINE_CLOSED.
     */
    CompletableFuture<List<ResolvedAdapter>> preload(AdapterStack stack);

    /**
     * Frees the memory of an adapter, all versions of its name: at once if it is idle, else when the last sequence that
     * uses it ends. A request that names it meanwhile keeps it; a later one loads it again.
     *
     * @return whether any version was in memory and can be freed; always false if the engine cannot free adapters
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if the name is malformed
     */
    boolean unload(String name);

    /**
     * Frees the memory of all idle adapters.
     *
     * @return how many
     */
    int clear();

    /** Whether it still answers; false once it was closed or has failed for good. */
    boolean isOpen();

    /**
     * How long ago the engine last held its requests against their timeouts. As long as it does so it answers each of
     * them itself, however long they wait for others; one that hangs no longer does, and who waits for it can give up.
     *
     * <p>By default longer than any timeout: of an engine that does not tell, a request is given up after its timeout.
     */
    default Duration unattendedFor() {
        return Duration.ofNanos(Long.MAX_VALUE);
    }

    /** What the engine is doing now; cheap enough to poll. */
    EngineMetrics metrics();

    /**
     * Stops a running decode, completes every open future with {@link ErrorCode#ENGINE_CLOSED} and frees the model.
     * Idempotent; does not throw.
     */
    @Override
    void close();
}
