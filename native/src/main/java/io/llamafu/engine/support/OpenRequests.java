package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.Completion;

import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

import static java.util.Objects.requireNonNull;

/**
 * Every request that has no outcome yet, in whatever state it is, so that none outlives its deadline or the engine.
 * Thread-safe.
 */
public final class OpenRequests {
    private final Set<OpenRequest> open = ConcurrentHashMap.newKeySet();
    private final LongAdder submitted = new LongAdder();
    private final LongAdder completed = new LongAdder();
    private final LongAdder failed = new LongAdder();
    private volatile Throwable engineFailure;

    private record OpenRequest(CompletableFuture<Completion> future, Duration timeout, long deadlineNanos) {
        /** Identity: two requests are never the same. */
        @Override
        public boolean equals(Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(this);
        }

        private boolean isOverdue(long nowNanos) {
            return nowNanos - deadlineNanos >= 0;
        }
    }

    /** A future that stays on the books until it has an outcome. */
    public CompletableFuture<Completion> open(Duration timeout, long nowNanos) {
        requireNonNull(timeout, "timeout is null");
        CompletableFuture<Completion> future = new CompletableFuture<>();
        OpenRequest request = new OpenRequest(future, timeout, nowNanos + saturatedNanos(timeout));
        submitted.increment();
        open.add(request);
        CompletableFuture<Completion> unused = future.whenComplete((completion, failure) -> {
            open.remove(request);
            (failure == null ? completed : failed).increment();
        });
        return future;
    }

    /** Half the range of nanoseconds, some 146 years, so that deadlines can be subtracted. */
    private static long saturatedNanos(Duration timeout) {
        long most = Long.MAX_VALUE / 2;
        return timeout.compareTo(Duration.ofNanos(most)) >= 0 ? most : timeout.toNanos();
    }

    public void failOverdue(long nowNanos) {
        for (OpenRequest request : open) {
            if (request.isOverdue(nowNanos)) {
                request.future.completeExceptionally(new LlamafuException(
                        ErrorCode.DEADLINE_EXCEEDED,
                        "The request was not answered within its timeout of %s; raise 'timeout' or lower the load."
                                .formatted(request.timeout)));
            }
        }
    }

    public void failAll(LlamafuException failure) {
        open.forEach(request -> request.future.completeExceptionally(failure));
    }

    /** Remembers why the engine ended, for those who still ask it. */
    public void engineFailed(Throwable failure) {
        engineFailure = failure;
        failAll(closedException());
    }

    public LlamafuException closedException() {
        Throwable failure = engineFailure;
        return failure == null
                ? new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one.")
                : new LlamafuException(
                        ErrorCode.ENGINE_FAILED, "The engine ended because of an error: " + failure, failure);
    }

    public int count() {
        return open.size();
    }

    public long submittedCount() {
        return submitted.sum();
    }

    public long completedCount() {
        return completed.sum();
    }

    public long failedCount() {
        return failed.sum();
    }
}
