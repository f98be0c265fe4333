package io.llamafu.adapter;

import io.llamafu.LlamafuException;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongSupplier;

import static java.util.Objects.requireNonNull;

/** Recent failures, so that a stream of records does not repeat each attempt. Thread-safe. */
public final class RecentFailures {
    private final Duration remembered;
    private final LongSupplier nanoTime;
    private final Map<String, Failure> byKey = new HashMap<>();

    private record Failure(LlamafuException failure, long nanos) {}

    /** @param nanoTime the clock of {@link System#nanoTime} */
    public RecentFailures(Duration remembered, LongSupplier nanoTime) {
        this.remembered = requireNonNull(remembered, "remembered is null");
        this.nanoTime = requireNonNull(nanoTime, "nanoTime is null");
    }

    public synchronized void add(String key, LlamafuException failure) {
        byKey.values().removeIf(this::isPast);
        byKey.put(key, new Failure(failure, nanoTime.getAsLong()));
    }

    /**
     * Checks that the key has no recent failure.
     *
     * @throws LlamafuException with the code and message of the failure, if there is one
     */
    public synchronized void check(String key) {
        Failure failure = byKey.get(key);
        if (failure != null && !isPast(failure)) {
            throw new LlamafuException(
                    failure.failure().code(), failure.failure().sentence(), failure.failure());
        }
    }

    private boolean isPast(Failure failure) {
        return nanoTime.getAsLong() - failure.nanos() >= remembered.toNanos();
    }
}
