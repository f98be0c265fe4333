package io.llamafu.llamacpp;

import java.time.Duration;

/**
 * A wait that an interruption does not end, as when Flink cancels a task that closes its engine: what is freed after the
 * wait would stay in memory. The thread is interrupted afterwards.
 */
@FunctionalInterface
interface UninterruptedWait {
    /** Returns whether what it waits for came within the time. */
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
