package io.llamafu.engine.support;

import io.llamafu.Durations;
import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionResult;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAccumulator;
import java.util.concurrent.atomic.LongAdder;

import static java.util.Objects.requireNonNull;

/**
 * Every request without an outcome, in whatever state, so that none outlives its deadline or the engine. Thread-safe.
 *
 * <p>A request's timeout limits the time that the engine works on it, not the time in which it serves others. The clock stops
 * while the request waits in line, for a slot or for adapter memory, and restarts when its turn has come. The wait is bounded
 * because lines move: each request takes its turn and finishes within its own timeout. If no turn begins or ends for the
 * longest of all timeouts, the lines are stuck, and the requests in them fail.
 */
@SuppressWarnings("CollectionUndefinedEquality") // futures are compared by identity, as intended
public final class OpenRequests {
    private final Map<CompletableFuture<CompletionResult>, OpenRequest> open = new ConcurrentHashMap<>();
    private final LongAdder submitted = new LongAdder();
    private final LongAdder completed = new LongAdder();
    private final LongAdder failed = new LongAdder();
    private volatile Throwable engineFailure;
    private final LongAccumulator lastMoveNanos =
            new LongAccumulator((one, other) -> one - other > 0 ? one : other, System.nanoTime());
    private volatile long lastCheckNanos = System.nanoTime();

    private static final class OpenRequest {
        private final CompletableFuture<CompletionResult> future;
        private final Duration timeout;
        private final long timeoutNanos;
        private final Duration patience;
        private final long patienceNanos;
        private final long submittedNanos;
        private volatile boolean inLine;
        private volatile long sinceNanos;

        private OpenRequest(
                CompletableFuture<CompletionResult> future, Duration timeout, Duration patience, long nowNanos) {
            this.future = future;
            this.timeout = timeout;
            this.timeoutNanos = Durations.countable(timeout).toNanos();
            this.patience = patience;
            this.patienceNanos = Durations.countable(patience).toNanos();
            this.submittedNanos = nowNanos;
            this.sinceNanos = nowNanos;
        }

        private void fail(String reason) {
            future.completeExceptionally(new LlamafuException(ErrorCode.DEADLINE_EXCEEDED, reason));
        }
    }

    /** A future that is tracked until it has an outcome. Its clock starts now. */
    public CompletableFuture<CompletionResult> open(Duration timeout, Duration patience, long nowNanos) {
        requireNonNull(timeout, "timeout is null");
        requireNonNull(patience, "patience is null");
        CompletableFuture<CompletionResult> future = new CompletableFuture<>();
        submitted.increment();
        OpenRequest request = new OpenRequest(future, timeout, patience, nowNanos);
        open.put(future, request);
        Futures.whenComplete(future, (result, failure) -> {
            open.remove(future);
            if (!request.inLine) {
                lastMoveNanos.accumulate(System.nanoTime());
            }
            (failure == null ? completed : failed).increment();
        });
        return future;
    }

    /** The request waits for others: its clock stops. */
    public void waits(CompletableFuture<CompletionResult> future, long nowNanos) {
        OpenRequest request = open.get(future);
        if (request != null) {
            request.sinceNanos = nowNanos;
            request.inLine = true;
        }
    }

    /** The turn of the request has come: its clock restarts. */
    public void proceeds(CompletableFuture<CompletionResult> future, long nowNanos) {
        lastMoveNanos.accumulate(nowNanos);
        OpenRequest request = open.get(future);
        if (request != null) {
            request.sinceNanos = nowNanos;
            request.inLine = false;
        }
    }

    /** Call it continually while the engine works, on a thread that hangs if the engine does. */
    public void failOverdue(long nowNanos) {
        lastCheckNanos = nowNanos;
        Duration longest = Duration.ZERO;
        for (OpenRequest request : open.values()) {
            longest = request.timeout.compareTo(longest) > 0 ? request.timeout : longest;
        }
        for (OpenRequest request : open.values()) {
            failIfOverdue(request, nowNanos);
        }
        // afterwards, because an overdue request makes room for those in line
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
        long stuck = Durations.countable(longest).toNanos();
        if (request.inLine && nowNanos - request.sinceNanos >= stuck && nowNanos - lastMoveNanos.get() >= stuck) {
            request.fail(
                    "The request waited, and no request of the engine had its turn for %s, the longest timeout; lower the load or restart the TaskManager."
                            .formatted(longest));
        }
    }

    /** How long ago the deadlines were last checked. */
    public Duration unattendedFor() {
        return Duration.ofNanos(Math.max(0, System.nanoTime() - lastCheckNanos));
    }

    public void failAll(LlamafuException failure) {
        List.copyOf(open.keySet()).forEach(future -> future.completeExceptionally(failure));
    }

    /** Fails all requests, and remembers the cause for later ones. */
    public void engineFailed(Throwable failure) {
        engineFailure = failure;
        failAll(closedException());
    }

    public LlamafuException closedException() {
        Throwable failure = engineFailure;
        return failure == null
                ? LlamafuException.engineClosed()
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
