package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.metrics.MetricGroup;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * One user of the TaskManager's engine, from its opening to its closing: holds its share, asks, counts the outcomes in the
 * metrics, and gives every failure its code. Requests are submitted by one thread; outcomes may come from any.
 */
@Internal
public final class EngineSession implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(EngineSession.class);

    /** The engine's own timeout must strike first: it frees the sequence and says what the time was spent on. */
    private static final Duration TIMEOUT_GRACE = Duration.ofSeconds(10);

    private final LlamafuOptions options;
    private final TaskManager taskManager;
    private final Leases leases;
    private final CompletionMetrics metrics;
    private final Set<ErrorCode> logged = ConcurrentHashMap.newKeySet();

    private volatile JobEngine held;

    private EngineSession(LlamafuOptions options, TaskManager taskManager, Leases leases, MetricGroup group) {
        this.options = checkNotNull(options, "options is null");
        this.taskManager = checkNotNull(taskManager, "taskManager is null");
        this.leases = checkNotNull(leases, "leases is null");
        this.held = JobEngine.open(options, taskManager, leases);
        this.metrics = new CompletionMetrics(group, () -> held.engine());
    }

    /**
     * Fetches what is remote and opens the engine, or joins it; that takes seconds to minutes.
     *
     * @throws LlamafuException if the files are not to be had, or the engine cannot be opened
     */
    public static EngineSession open(
            LlamafuOptions options, TaskManager taskManager, Leases leases, MetricGroup group) {
        return new EngineSession(options, taskManager, leases, group);
    }

    /**
     * How long whoever waits for a request of this timeout waits, in case that the engine does not answer at all: if it is
     * still {@linkplain #isEngineAtWork at work} then, the request waits for others, and so does he.
     */
    public static Duration patience(Duration timeout) {
        return timeout.plus(TIMEOUT_GRACE);
    }

    /** Never throws: what goes wrong, in the supplier too, is a failed future. */
    public CompletableFuture<Completion> submit(Supplier<CompletionRequest> request) {
        metrics.request();
        try {
            CompletionRequest asked = request.get();
            CompletableFuture<Completion> answer = engine().submit(asked);
            CompletableFuture<Completion> unused = answer.whenComplete((completion, failure) -> metrics.outcome(
                    asked,
                    Optional.ofNullable(failure).map(EngineSession::coded).map(LlamafuException::code)));
            return answer;
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    /**
     * The engine, opened anew if it failed for good: only the records that were in it when it failed are errors. Blocks
     * while the model loads.
     */
    public InferenceEngine engine() {
        JobEngine before = held;
        if (!before.engine().isOpen()) {
            LOG.warn("The engine has failed and is opened anew.");
            held = JobEngine.open(options, taskManager, leases);
            before.close();
        }
        return held.engine();
    }

    /** Whether the engine has looked after its requests within the time that one of them may take. */
    public boolean isEngineAtWork(Duration timeout) {
        InferenceEngine engine = held.engine();
        return engine.isOpen() && engine.unattendedFor().compareTo(timeout) < 0;
    }

    /** Counts a request that was answered. */
    public void answered(Completion answer) {
        metrics.completion(answer);
    }

    /** Counts a request that failed, and gives its failure a code. */
    public LlamafuException failed(Throwable failure) {
        LlamafuException error = coded(failure);
        metrics.error(error.code());
        return error;
    }

    /** Counts a request that the engine did not answer in all the time that was left to it. */
    public LlamafuException unanswered(Duration timeout) {
        return failed(new LlamafuException(
                ErrorCode.DEADLINE_EXCEEDED,
                "The record was not answered within its timeout of %s, and the engine did not say why."
                        .formatted(timeout)));
    }

    public static LlamafuException coded(Throwable failure) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(ErrorCode.ENGINE_FAILED, "The engine failed: " + cause, cause);
    }

    /**
     * Logs an error that does not fail the job: the first of each code as a warning, so that a log shows what happens
     * without being flooded; the metrics have them all.
     */
    public void log(ErrorCode code, String record) {
        if (logged.add(code)) {
            LOG.warn("{}: {} (more of this code are counted, not logged)", code, record);
        } else {
            LOG.debug("{}: {}", code, record);
        }
    }

    /** Gives its share back. Idempotent, and never throws: an exception in a task's close would end the TaskManager. */
    @Override
    public void close() {
        try {
            held.close();
        } catch (Throwable e) {
            LOG.warn("Closing went wrong; going on.", e);
        }
    }
}
