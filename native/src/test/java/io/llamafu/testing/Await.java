package io.llamafu.testing;

import java.time.Duration;

/** Waits for other threads. */
public final class Await {
    /** Far more than anything takes, so a timeout means that the condition never holds. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private Await() {}

    /** The condition to wait for. */
    @FunctionalInterface
    public interface Condition {
        boolean holds() throws Exception;
    }

    /**
     * Returns as soon as the condition holds.
     *
     * @param what the condition in words
     * @throws AssertionError if it does not hold within two minutes
     */
    public static void until(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("Not within %s: %s".formatted(PATIENCE, what));
            }
            Thread.sleep(1);
        }
    }

    /** Returns as soon as the thread waits for another one, or has ended. */
    public static void untilItWaits(Thread thread) throws Exception {
        until(thread + " waits", () -> switch (thread.getState()) {
            case WAITING, TIMED_WAITING, TERMINATED -> true;
            case NEW, RUNNABLE, BLOCKED -> false;
        });
    }
}
