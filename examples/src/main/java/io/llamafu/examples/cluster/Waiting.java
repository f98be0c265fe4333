package io.llamafu.examples.cluster;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waits for conditions in other processes. */
public final class Waiting {
    private static final long POLL_MILLIS = 100;

    private Waiting() {}

    /**
     * Waits until the condition holds.
     *
     * @param what for the message, such as "the JobManager answers"
     * @throws IllegalStateException on a timeout
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
