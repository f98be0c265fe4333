package io.llamafu.testing;

import com.sun.management.ThreadMXBean;
import io.llamafu.LlamafuException;

import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Optional;

import static org.assertj.core.api.Assertions.assertThat;

/** The limits for reading an untrusted file: 64 MB and a minute, which is far more than any file takes on a slow machine. */
public final class Frugal {
    private static final long MOST_BYTES = 64L << 20;
    private static final long MOST_NANOS = Duration.ofMinutes(1).toNanos();
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private Frugal() {}

    /**
     * Runs something on this thread within the limits. Its time is the thread's CPU time, independent of other load.
     *
     * @param what for messages
     * @return its failure, if any
     * @throws AssertionError if it exceeds a limit
     */
    public static Optional<LlamafuException> run(String what, Runnable action) {
        long bytes = THREADS.getCurrentThreadAllocatedBytes();
        long nanos = THREADS.getCurrentThreadCpuTime();
        Optional<LlamafuException> failure = Optional.empty();
        try {
            action.run();
        } catch (LlamafuException e) {
            failure = Optional.of(e);
        }
        assertThat(THREADS.getCurrentThreadCpuTime() - nanos)
                .as("CPU nanoseconds of %s", what)
                .isLessThan(MOST_NANOS);
        assertThat(THREADS.getCurrentThreadAllocatedBytes() - bytes)
                .as("bytes of %s", what)
                .isLessThan(MOST_BYTES);
        return failure;
    }
}
