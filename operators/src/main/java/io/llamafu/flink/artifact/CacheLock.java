package io.llamafu.flink.artifact;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.Optional;
import java.util.Properties;
import java.util.UUID;
import java.util.function.LongSupplier;

/**
 * A file lock with one holder among all processes of the machine and all class loaders of this JVM. The system frees it
 * when the process ends, however it ends.
 *
 * <p>A POSIX file lock belongs to the process, and closing any channel of the file frees it. Within the JVM the holder
 * is therefore decided first, by a system property: all class loaders see it, and it keeps none of them alive. Its name
 * is the inode, because a file can have many paths. It outlives the file for a moment if that is deleted before the lock
 * is closed, so even a new file, which may get that inode, has to be {@link #acquire(Path, Duration) waited} for. A locked
 * file must not be opened by other means, nor may its times be set, because Java opens it for that.
 */
final class CacheLock implements AutoCloseable {
    private static final String PROPERTY_PREFIX = "io.llamafu.lock.";
    private static final long POLL_MILLIS = 20;

    private final Path file;
    private final Object key;
    private final FileChannel channel;
    private boolean closed;

    private CacheLock(Path file, Object key, FileChannel channel) {
        this.file = file;
        this.key = key;
        this.channel = channel;
    }

    /** The lock, unless it is held. Creates the file. */
    static Optional<CacheLock> tryAcquire(Path file) throws IOException {
        create(file);
        return tryAcquireExisting(file);
    }

    /** The lock; empty if it is held, or the file does not exist. */
    static Optional<CacheLock> tryAcquireExisting(Path file) throws IOException {
        Object key;
        try {
            key = key(file);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
        Properties properties = System.getProperties();
        if (properties.putIfAbsent(PROPERTY_PREFIX + key, "held") != null) {
            return Optional.empty();
        }
        FileChannel channel = null;
        boolean acquired = false;
        try {
            channel = FileChannel.open(file, StandardOpenOption.WRITE);
            FileLock lock = channel.tryLock();
            // A file that was removed meanwhile is not a lock any more: another one may have taken its place.
            acquired = lock != null && key(file).equals(key);
            return acquired ? Optional.of(new CacheLock(file, key, channel)) : Optional.empty();
        } catch (NoSuchFileException | OverlappingFileLockException e) {
            return Optional.empty();
        } finally {
            if (!acquired) {
                try {
                    if (channel != null) {
                        channel.close();
                    }
                } finally {
                    properties.remove(PROPERTY_PREFIX + key);
                }
            }
        }
    }

    /**
     * Under another name first, because creating a file opens it, and closing it would free a lock acquired meanwhile.
     */
    private static void create(Path file) throws IOException {
        if (Files.exists(file)) {
            return;
        }
        Path temporary = file.resolveSibling("." + UUID.randomUUID());
        Files.createFile(temporary, OwnFiles.FILE);
        try {
            Files.createLink(file, temporary);
        } catch (FileAlreadyExistsException e) {
            // Another process was faster.
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static Object key(Path file) throws IOException {
        Object key = Files.readAttributes(file, BasicFileAttributes.class).fileKey();
        return key == null ? file.toRealPath() : key;
    }

    /**
     * Waits for the lock.
     *
     * @return empty if it is still held after that time
     * @throws InterruptedIOException if the thread is interrupted
     */
    static Optional<CacheLock> acquire(Path file, Duration patience) throws IOException {
        return acquire(file, patience, () -> 0);
    }

    /**
     * Waits for the lock as long as its holder makes progress.
     *
     * @param progress of the holder: each change restarts the time
     * @return empty if it is still held, without progress in that time
     * @throws InterruptedIOException if the thread is interrupted
     */
    static Optional<CacheLock> acquire(Path file, Duration patience, LongSupplier progress) throws IOException {
        long seen = progress.getAsLong();
        long start = System.nanoTime();
        while (true) {
            Optional<CacheLock> lock = tryAcquire(file);
            if (lock.isPresent()) {
                return lock;
            }
            long now = progress.getAsLong();
            if (now != seen) {
                seen = now;
                start = System.nanoTime();
            }
            if (System.nanoTime() - start > patience.toNanos()) {
                return Optional.empty();
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while waiting for " + file);
            }
        }
    }

    /** Whether other processes see this lock at the path: the file may have been removed or replaced. */
    boolean isInPlace() throws IOException {
        try {
            return key(file).equals(key);
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    /** Updates the file's time, so that programs that delete old files keep it. */
    synchronized void touch() throws IOException {
        if (!closed) {
            channel.write(ByteBuffer.wrap(new byte[] {0}), 0);
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (!closed) {
            closed = true;
            try {
                channel.close();
            } finally {
                System.getProperties().remove(PROPERTY_PREFIX + key);
            }
        }
    }
}
