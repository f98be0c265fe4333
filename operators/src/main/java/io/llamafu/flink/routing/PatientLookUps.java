package io.llamafu.flink.routing;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;

/**
 * Looks up adapter names on a separate thread, because a file system may take any time to answer. The caller waits for
 * a bounded time, and not at all while an earlier lookup has no answer. Used by one thread.
 */
final class PatientLookUps implements Predicate<String>, AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private final Predicate<String> names;
    private final Duration patience;
    private final ExecutorService thread;
    private Future<Boolean> lookUp;
    private String unanswered = "";

    PatientLookUps(Predicate<String> names) {
        this(names, PATIENCE);
    }

    PatientLookUps(Predicate<String> names, Duration patience) {
        this.names = names;
        this.patience = patience;
        thread = Executors.newSingleThreadExecutor(DaemonThreads.named("llamafu-adapter-lookup"));
    }

    @Override
    public boolean test(String name) {
        if (lookUp != null && !lookUp.isDone()) {
            throw unavailable(
                    "It is not known whether there is the adapter '%s': the store has not yet said whether there is '%s'."
                            .formatted(name, unanswered),
                    null);
        }
        unanswered = name;
        lookUp = thread.submit(() -> names.test(name));
        try {
            return lookUp.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw LlamafuException.of(
                    e,
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The store could not say whether there is the adapter '%s'".formatted(name));
        } catch (TimeoutException e) {
            throw unavailable(
                    "The store did not say within %s whether there is the adapter '%s'.".formatted(patience, name), e);
        } catch (CancellationException | InterruptedException e) {
            if (e instanceof InterruptedException) {
                Thread.currentThread().interrupt();
            }
            throw unavailable("The task was cancelled while it asked for the adapter '%s'.".formatted(name), e);
        }
    }

    private static LlamafuException unavailable(String message, Exception cause) {
        return new LlamafuException(ErrorCode.ARTIFACT_UNAVAILABLE, message, cause);
    }

    @Override
    public void close() {
        thread.shutdownNow();
    }
}
