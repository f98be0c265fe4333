package io.llamafu.examples.cluster;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waits for what another process does. */
public final class Waiting {
    private static final long POLL_MILLIS = 100;

    private Waiting() {}

    /**
     * Waits until the condition holds.
     *
     * @param what goes into the message, as in "the JobManager answers"
     * @throws IllegalStateException if it does not hold in time
     */
    public static void until(String what, Duration timeout, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("Waited %s in vain until %s.".formatted(timeout, what));
            }
            TimeUnit.MILLISECONDS.sleep(POLL_MILLIS);
        }
    }
}
