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
     *     the thread is interrupted
     */
    public static <T> T await(CompletableFuture<T> adapters) {
        try {
            return adapters.get(MOST_TIME.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw failed(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw failed(e);
        }
    }

    private static LlamafuException failed(Exception failure) {
        return LlamafuException.of(
                failure, ErrorCode.ADAPTER_LOAD_FAILED, "The adapters of adapters.preload were not loaded");
    }
}
