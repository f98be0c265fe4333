package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * One model that answers many requests at a time. Implementations are thread-safe.
 *
 * <pre>{@code
 * try (InferenceEngine engine = LlamaCppEngine.open(options)) {
 *     CompletionResult answer = engine.submit(CompletionRequest.of(prompt, AdapterStack.parse("medical"))).join();
 * }
 * }</pre>
 */
public interface InferenceEngine extends AutoCloseable {

    /**
     * Queues a request. Never throws an exception and never blocks on the model: every failure completes the future with a
     * {@link LlamafuException}, also that of null or of a timeout below zero. An {@link Error} of the JVM does so, and is
     * thrown.
     *
     * <p>The future is the caller's own, also for a request that waits for the answer of an identical one. A caller that
     * cancels it, or completes it in another way, gives up the request, whose sequence is freed at the next decode step.
     *
     * <p>The future is completed by the engine's own thread: continuations must be short.
     */
    CompletableFuture<CompletionResult> submit(CompletionRequest request);

    /**
     * How many tokens a prompt has, as in {@link CompletionResult#promptTokens()}: with the beginning-of-sequence token
     * where the model has one. Does not wait for the model.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_TEXT} for an unpaired surrogate, {@link
     *     ErrorCode#ENGINE_CLOSED} if the engine is closed
     */
    int countTokens(Prompt prompt);

    /** How many tokens a text has as a prompt without control tokens; see {@link #countTokens(Prompt)}. */
    default int countTokens(String text) {
        return countTokens(Prompt.text(text));
    }

    /**
     * Every adapter of the catalog, in memory or not, by name; then versions in memory without a name, because it was
     * published again or removed while they were in use.
     *
     * <p>Reads the headers of the files that are not in memory, so it may block on files.
     */
    List<LoadedAdapter> adapters();

    /**
     * Everything for which the engine would refuse a file as an adapter of its model, at once. Reads the whole file, and loads
     * nothing.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} or {@link ErrorCode#ADAPTER_INVALID} if there is no
     *     such file, or it is no GGUF file
     */
    CompatibilityReport check(Path file);

    /**
     * Loads the adapters of a stack, all or none, so that the first request need not wait for them. They stay in memory like
     * any idle adapter, until the budget needs their memory or {@link #unload} is called.
     *
     * <p>Evicts idle adapters if necessary, but does not wait for running sequences. The future has the resolved stack, or
     * fails with a {@link LlamafuException}: ADAPTER_NOT_FOUND, ADAPTER_INVALID,
     * ADAPTER_INCOMPATIBLE, ADAPTER_LOAD_FAILED, OUT_OF_MEMORY, INVALID_REQUEST or ENGINE_CLOSED.
     */
    CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack);

    /**
     * Frees the memory of all versions of an adapter: idle ones at once, others when the last sequence that uses them ends. A
     * request that names the adapter in the meantime keeps it in memory; a later one loads it again.
     *
     * @return whether any version was in memory and can be freed; always false if the engine cannot free adapters
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if the name is malformed
     */
    boolean unload(String name);

    /**
     * Frees the memory of all idle adapters.
     *
     * @return the number of adapters freed
     */
    int clear();

    /** Whether it still answers; false after it was closed or has failed permanently. */
    boolean isOpen();

    /**
     * How long ago the engine last checked its requests for timeouts. An engine that keeps checking completes every request
     * itself, however long it waits for others. If the checks stop, the engine hangs, and callers can give up.
     *
     * <p>The default is longer than any timeout: requests of an engine that does not implement this are given up after their
     * timeout.
     */
    default Duration unattendedFor() {
        return Duration.ofNanos(Long.MAX_VALUE);
    }

    /** What the model's file says about conversations. */
    default ModelChat modelChat() {
        return ModelChat.NONE;
    }

    /** The current state of the engine; cheap enough to poll. */
    EngineMetrics metrics();

    /**
     * Aborts a running decode, completes every open future with {@link ErrorCode#ENGINE_CLOSED} and frees the model.
     * Idempotent; does not throw.
     */
    @Override
    void close();
}
