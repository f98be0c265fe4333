package io.llamafu.flink;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waits for what other threads do. */
public final class Waiting {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    private static final long POLL_MILLIS = 10;

    private Waiting() {}

    /**
     * Waits until the condition holds.
     *
     * @param what goes into the message, as in "the subtasks have opened"
     * @throws AssertionError if it does not hold within a minute
     */
    public static void until(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + TIMEOUT.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("Waited %s in vain until %s.".formatted(TIMEOUT, what));
            }
            TimeUnit.MILLISECONDS.sleep(POLL_MILLIS);
        }
    }
}
