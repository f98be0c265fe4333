package io.llamafu.llamacpp;

import java.time.Duration;

/**
 * A wait that continues through an interrupt, such as Flink's when it cancels a task that is closing its engine; otherwise
 * native memory would never be freed. The interrupt is restored afterwards.
 */
@FunctionalInterface
interface UninterruptedWait {
    /** Returns whether the wait succeeded within the time. */
    boolean await(long nanos) throws InterruptedException;

    static boolean await(Duration atMost, UninterruptedWait wait) {
        long end = System.nanoTime() + atMost.toNanos();
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return wait.await(Math.max(0, end - System.nanoTime()));
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
