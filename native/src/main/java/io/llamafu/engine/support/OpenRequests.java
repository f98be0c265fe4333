package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.Completion;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAccumulator;
import java.util.concurrent.atomic.LongAdder;

import static java.util.Objects.requireNonNull;

/**
 * Every request that has no outcome yet, in whatever state it is, so that none outlives its deadline or the engine.
 * Thread-safe.
 *
 * <p>A request's timeout is the time that the engine may take for it, not the time in which others are served: the clock
 * stands while the request waits in a line, for a slot or for room for its adapters, and begins anew when its turn has
 * come. What bounds the wait is that lines move: a request has its turn, and is done with it within its own timeout. If
 * neither happens for the longest timeout of all, the lines do not move, and the requests in them fail.
 */
@SuppressWarnings("CollectionUndefinedEquality") // a future is equal to itself only, which is what is meant
public final class OpenRequests {
    private final Map<CompletableFuture<Completion>, OpenRequest> open = new ConcurrentHashMap<>();
    private final LongAdder submitted = new LongAdder();
    private final LongAdder completed = new LongAdder();
    private final LongAdder failed = new LongAdder();
    private volatile Throwable engineFailure;
    private final LongAccumulator lastMoveNanos =
            new LongAccumulator((one, other) -> one - other > 0 ? one : other, System.nanoTime());
    private volatile long lastCheckNanos = System.nanoTime();

    private static final class OpenRequest {
        private final CompletableFuture<Completion> future;
        private final Duration timeout;
        private final long timeoutNanos;
        private final Duration patience;
        private final long patienceNanos;
        private final long submittedNanos;
        private volatile boolean inLine;
        private volatile long sinceNanos;

        private OpenRequest(CompletableFuture<Completion> future, Duration timeout, Duration patience, long nowNanos) {
            this.future = future;
            this.timeout = timeout;
            this.timeoutNanos = saturatedNanos(timeout);
            this.patience = patience;
            this.patienceNanos = saturatedNanos(patience);
            this.submittedNanos = nowNanos;
            this.sinceNanos = nowNanos;
        }

        private void fail(String reason) {
            future.completeExceptionally(new LlamafuException(ErrorCode.DEADLINE_EXCEEDED, reason));
        }
    }

    /** A future that stays on the books until it has an outcome. Its time runs from now on. */
    public CompletableFuture<Completion> open(Duration timeout, Duration patience, long nowNanos) {
        requireNonNull(timeout, "timeout is null");
        requireNonNull(patience, "patience is null");
        CompletableFuture<Completion> future = new CompletableFuture<>();
        submitted.increment();
        OpenRequest request = new OpenRequest(future, timeout, patience, nowNanos);
        open.put(future, request);
        CompletableFuture<Completion> unused = future.whenComplete((completion, failure) -> {
            open.remove(future);
            if (!request.inLine) {
                lastMoveNanos.accumulate(System.nanoTime());
            }
            (failure == null ? completed : failed).increment();
        });
        return future;
    }

    /** Half the range of nanoseconds, some 146 years, so that deadlines can be subtracted. */
    private static long saturatedNanos(Duration timeout) {
        long most = Long.MAX_VALUE / 2;
        return timeout.compareTo(Duration.ofNanos(most)) >= 0 ? most : timeout.toNanos();
    }

    /** It waits for others from now on: its time stands. */
    public void waits(CompletableFuture<Completion> future, long nowNanos) {
        OpenRequest request = open.get(future);
        if (request != null) {
            request.sinceNanos = nowNanos;
            request.inLine = true;
        }
    }

    /** Its turn has come: it has all its time from now on. */
    public void proceeds(CompletableFuture<Completion> future, long nowNanos) {
        lastMoveNanos.accumulate(nowNanos);
        OpenRequest request = open.get(future);
        if (request != null) {
            request.sinceNanos = nowNanos;
            request.inLine = false;
        }
    }

    /** To be called all the time while the engine works, by a thread that hangs if the engine does. */
    public void failOverdue(long nowNanos) {
        lastCheckNanos = nowNanos;
        Duration longest = Duration.ZERO;
        for (OpenRequest request : open.values()) {
            longest = request.timeout.compareTo(longest) > 0 ? request.timeout : longest;
        }
        for (OpenRequest request : open.values()) {
            failIfOverdue(request, nowNanos);
        }
        // Afterwards: one that was overdue makes place for those in line.
        for (OpenRequest request : open.values()) {
            failIfStuck(request, longest, nowNanos);
        }
    }

    private void failIfOverdue(OpenRequest request, long nowNanos) {
        if (nowNanos - request.submittedNanos >= request.patienceNanos) {
            request.fail(
                    "The request was not answered within %s of its submission, waits for others included; lower the load."
                            .formatted(request.patience));
        } else if (!request.inLine && nowNanos - request.sinceNanos >= request.timeoutNanos) {
            lastMoveNanos.accumulate(nowNanos);
            request.fail(
                    "The request was not answered within its timeout of %s, waits for others not counted; raise 'timeout' or lower 'max-tokens'."
                            .formatted(request.timeout));
        }
    }

    private void failIfStuck(OpenRequest request, Duration longest, long nowNanos) {
        long stuck = saturatedNanos(longest);
        if (request.inLine && nowNanos - request.sinceNanos >= stuck && nowNanos - lastMoveNanos.get() >= stuck) {
            request.fail(
                    "The request waited, and no request of the engine had its turn for %s, the longest timeout; lower the load or restart the TaskManager."
                            .formatted(longest));
        }
    }

    /** How long ago the requests were last held against their deadlines. */
    public Duration unattendedFor() {
        return Duration.ofNanos(Math.max(0, System.nanoTime() - lastCheckNanos));
    }

    public void failAll(LlamafuException failure) {
        List.copyOf(open.keySet()).forEach(future -> future.completeExceptionally(failure));
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
