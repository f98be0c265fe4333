package io.llamafu.flink.artifact;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Optional;
import java.util.Properties;

/**
 * A lock of a file that only one holder has, among all processes of the machine and all class loaders of this one. The
 * system frees it when the process ends, however it ends.
 *
 * <p>A file lock of POSIX belongs to the process, and closing any channel of the file frees it. So within the JVM the
 * holder is settled first, by a system property: nothing else is seen by all class loaders and holds on to none.
 */
final class CacheLock implements AutoCloseable {
    private static final String PROPERTY_PREFIX = "io.llamafu.lock.";
    private static final long POLL_MILLIS = 20;

    private final String property;
    private final FileChannel channel;
    private boolean closed;

    private CacheLock(String property, FileChannel channel) {
        this.property = property;
        this.channel = channel;
    }

    /** The lock, unless somebody has it. Creates the file. */
    static Optional<CacheLock> tryAcquire(Path file) throws IOException {
        String property = PROPERTY_PREFIX + file.toAbsolutePath().normalize();
        Properties properties = System.getProperties();
        if (properties.putIfAbsent(property, "held") != null) {
            return Optional.empty();
        }
        FileChannel channel = null;
        boolean acquired = false;
        try {
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock lock = channel.tryLock();
            acquired = lock != null;
            return acquired ? Optional.of(new CacheLock(property, channel)) : Optional.empty();
        } finally {
            if (!acquired) {
                if (channel != null) {
                    channel.close();
                }
                properties.remove(property);
            }
        }
    }

    /**
     * Waits for the lock.
     *
     * @return empty if somebody still has it after that time
     * @throws InterruptedIOException if the thread is interrupted
     */
    static Optional<CacheLock> acquire(Path file, Duration patience) throws IOException {
        long deadline = System.nanoTime() + patience.toNanos();
        while (true) {
            Optional<CacheLock> lock = tryAcquire(file);
            if (lock.isPresent() || System.nanoTime() - deadline > 0) {
                return lock;
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while waiting for " + file);
            }
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (!closed) {
            closed = true;
            try {
                channel.close();
            } finally {
                System.getProperties().remove(property);
            }
        }
    }
}
