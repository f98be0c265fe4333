package io.llamafu.llamacpp;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterFile;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * Adapters that could not be loaded a moment ago, so that a stream of records that name a bad one does not read and check
 * it for each. Told apart by content: another version of a name is tried at once. Thread-safe.
 */
final class FailedLoads {
    static final Duration REMEMBERED = Duration.ofSeconds(10);

    private final LongSupplier nanoTime;
    private final Map<String, Failure> byDigest = new HashMap<>();

    private record Failure(LlamafuException failure, long nanos) {
        private boolean isPast(long now) {
            return now - nanos >= REMEMBERED.toNanos();
        }
    }

    /** @param nanoTime the clock of {@link System#nanoTime} */
    FailedLoads(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    synchronized void add(AdapterFile file, LlamafuException failure) {
        long now = nanoTime.getAsLong();
        byDigest.values().removeIf(past -> past.isPast(now));
        byDigest.put(file.digest(), new Failure(failure, now));
    }

    /** Throws the failure of this version, if it is remembered. */
    synchronized void check(AdapterFile file) {
        Failure failure = byDigest.get(file.digest());
        if (failure != null && !failure.isPast(nanoTime.getAsLong())) {
            throw new LlamafuException(
                    failure.failure().code(), failure.failure().getMessage(), failure.failure());
        }
    }
}
