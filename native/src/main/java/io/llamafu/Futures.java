package io.llamafu;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;

/** Callbacks of futures. */
public final class Futures {
    private static final Logger LOG = LoggerFactory.getLogger(Futures.class);

    private Futures() {}

    /**
     * Runs an action when a future is complete, with its value or its failure. An exception of the action is logged; with
     * {@link CompletableFuture#whenComplete} it would be lost, unless somebody looked at the future that this returns.
     */
    @SuppressWarnings("FutureReturnValueIgnored")
    public static <T> void whenComplete(CompletableFuture<T> future, BiConsumer<? super T, ? super Throwable> action) {
        future.whenComplete((value, failure) -> {
            try {
                action.accept(value, failure);
            } catch (RuntimeException | Error e) {
                LOG.error("What was to be done with the outcome of a future failed.", e);
            }
        });
    }

    /**
     * A future for one caller, with the outcome of this one. Whatever the caller makes of it stays its own; if the caller
     * completes or cancels it, nobody waits for the outcome any more, and this one is cancelled.
     */
    public static <T> CompletableFuture<T> ofCaller(CompletableFuture<T> future) {
        CompletableFuture<T> own = new CompletableFuture<>();
        whenComplete(own, (value, failure) -> future.cancel(false));
        whenComplete(future, (value, failure) -> {
            if (failure == null) {
                own.complete(value);
            } else {
                own.completeExceptionally(failure);
            }
        });
        return own;
    }
}
