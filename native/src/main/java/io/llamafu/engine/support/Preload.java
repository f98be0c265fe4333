package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The option {@code adapters.preload}. */
public final class Preload {
    /** Enough for a slow store; one that makes no progress is given up long before. */
    private static final Duration MOST_TIME = Duration.ofHours(1);

    private static final String NOT_LOADED = "The adapters of adapters.preload were not loaded";

    private Preload() {}

    /** The adapters of these stacks in one stack, so that none evicts another. */
    public static AdapterStack together(List<AdapterStack> stacks) {
        return new AdapterStack(stacks.stream()
                .flatMap(stack -> stack.entries().stream())
                .map(AdapterStack.Entry::name)
                .distinct()
                .map(AdapterStack.Entry::new)
                .toList());
    }

    /**
     * Waits for adapters that an engine needs to open.
     *
     * @throws LlamafuException what the future fails with, or {@link ErrorCode#ADAPTER_LOAD_FAILED} if it takes too long or
     *     the thread is interrupted; nobody waits for the adapters then, and the future is cancelled
     */
    public static <T> T await(CompletableFuture<T> adapters) {
        return await(adapters, MOST_TIME);
    }

    static <T> T await(CompletableFuture<T> adapters, Duration most) {
        try {
            return adapters.get(most.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            throw LlamafuException.of(e, ErrorCode.ADAPTER_LOAD_FAILED, NOT_LOADED);
        } catch (TimeoutException e) {
            adapters.cancel(true);
            throw new LlamafuException(
                    ErrorCode.ADAPTER_LOAD_FAILED,
                    "%s within %d seconds. Shorten the list, or copy the adapters to a nearer store."
                            .formatted(NOT_LOADED, most.toSeconds()),
                    e);
        } catch (InterruptedException e) {
            adapters.cancel(true);
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ADAPTER_LOAD_FAILED,
                    NOT_LOADED + ": the thread that opens the engine was interrupted.",
                    e);
        }
    }
}
