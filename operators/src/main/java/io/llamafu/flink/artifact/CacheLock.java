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
 * is the inode, because a file can have many paths. A locked file must not be opened by other means, nor may its times
 * be set, because Java opens it for that.
 *
 * <p>An inode is used again once its file is deleted and closed, which can be before the holder gives up the property, or
 * without that if the holder's class loader is gone. The property therefore names the holder's path: where that is no
 * longer the inode's file, nobody holds it.
 */
final class CacheLock implements AutoCloseable {
    private static final String PROPERTY_PREFIX = "io.llamafu.lock.";
    private static final String SEPARATOR = "#";
    private static final long POLL_MILLIS = 20;

    private final Path file;
    private final Object key;
    /** The value of the property: no two are equal. */
    private final String holder;

    private final FileChannel channel;
    private boolean closed;

    private CacheLock(Path file, Object key, String holder, FileChannel channel) {
        this.file = file;
        this.key = key;
        this.holder = holder;
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
        String holder = file.toAbsolutePath() + SEPARATOR + UUID.randomUUID();
        if (!claim(key, holder)) {
            return Optional.empty();
        }
        FileChannel channel = null;
        boolean acquired = false;
        try {
            channel = FileChannel.open(file, StandardOpenOption.WRITE);
            FileLock lock = channel.tryLock();
            // A file that was removed meanwhile is not a lock any more: another one may have taken its place.
            acquired = lock != null && key(file).equals(key);
            return acquired ? Optional.of(new CacheLock(file, key, holder, channel)) : Optional.empty();
        } catch (NoSuchFileException | OverlappingFileLockException e) {
            return Optional.empty();
        } finally {
            if (!acquired) {
                try {
                    if (channel != null) {
                        channel.close();
                    }
                } finally {
                    System.getProperties().remove(PROPERTY_PREFIX + key, holder);
                }
            }
        }
    }

    /** Makes a holder that of the key in this JVM, unless another one is. */
    private static boolean claim(Object key, String holder) throws IOException {
        Properties properties = System.getProperties();
        Object other = properties.putIfAbsent(PROPERTY_PREFIX + key, holder);
        if (other == null) {
            return true;
        }
        String path = other.toString();
        boolean holds = isAt(Path.of(path.substring(0, path.lastIndexOf(SEPARATOR))), key);
        return !holds && properties.replace(PROPERTY_PREFIX + key, other, holder);
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
        return isAt(file, key);
    }

    private static boolean isAt(Path file, Object key) throws IOException {
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
                System.getProperties().remove(PROPERTY_PREFIX + key, holder);
            }
        }
    }
}
