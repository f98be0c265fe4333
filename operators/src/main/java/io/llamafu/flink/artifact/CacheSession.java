package io.llamafu.flink.artifact;

import org.apache.flink.util.FileUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A folder of one class loader in the cache, with links to what it uses and the room it has reserved. Its lock shows
 * others that it is alive. A program that deletes old files may remove the lock; the next {@link #refresh} creates it
 * again, and until long after that the session is not taken for a dead one. Opened, marked again and deleted under the
 * lock of the cache.
 */
final class CacheSession {
    private static final Logger LOG = LoggerFactory.getLogger(CacheSession.class);

    private static final String LOCK = "lock";
    private static final String TEMPORARY = "temporary";
    /** Much longer than the refresh interval: a session without a lock for this long is dead. */
    private static final Duration ABANDONED = Duration.ofHours(1);

    private final Path folder;
    private CacheLock lock;
    private boolean closed;

    private CacheSession(Path folder, CacheLock lock) {
        this.folder = folder;
        this.lock = lock;
    }

    static CacheSession open(Path folder) throws IOException {
        return new CacheSession(folder, lock(folder));
    }

    private static CacheLock lock(Path folder) throws IOException {
        OwnFiles.folder(folder.resolve(TEMPORARY));
        return CacheLock.tryAcquire(folder.resolve(LOCK)).orElseThrow(() -> new IOException(folder + " is in use"));
    }

    /** Deletes the sessions of processes that have ended. */
    static void clearDead(Path sessions) throws IOException {
        try (Stream<Path> folders = Files.list(sessions)) {
            for (Path folder : folders.toList()) {
                Optional<CacheLock> dead = CacheLock.tryAcquireExisting(folder.resolve(LOCK));
                if (dead.isPresent()) {
                    try {
                        delete(folder);
                    } finally {
                        dead.get().close();
                    }
                } else if (isAbandoned(folder)) {
                    delete(folder);
                }
            }
        }
    }

    /** Removing the lock changes the time of the folder. */
    private static boolean isAbandoned(Path folder) throws IOException {
        try {
            return Files.notExists(folder.resolve(LOCK))
                    && Files.getLastModifiedTime(folder)
                            .toInstant()
                            .isBefore(Instant.now().minus(ABANDONED));
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    private static void delete(Path folder) throws IOException {
        LOG.info("Clearing {}, which an ended process left.", folder);
        FileUtils.deleteDirectory(folder.toFile());
    }

    /** Whether others can see that it is alive. */
    synchronized boolean isMarked() throws IOException {
        return closed || lock.isInPlace();
    }

    /** Updates the time of the lock, and creates the lock again if it is gone. */
    synchronized void refresh() throws IOException {
        if (closed) {
            return;
        }
        if (lock.isInPlace()) {
            lock.touch();
        } else {
            LOG.warn("The lock of {} was removed; exclude cache.dir from jobs that delete old files.", folder);
            CacheLock again = lock(folder);
            lock.close();
            lock = again;
        }
    }

    /** A folder for links, deleted with the session. It is on the same file system, as hard links require. */
    Path linkFolder(String name) throws IOException {
        return OwnFiles.folder(folder.resolve(name));
    }

    /** A path without a file; while the file exists, its size counts as reserved. Deleted with the session. */
    Path temporary(String name) throws IOException {
        return OwnFiles.folder(folder.resolve(TEMPORARY)).resolve(name);
    }

    Path temporary() throws IOException {
        return temporary(UUID.randomUUID().toString());
    }

    /** The folder in which a session reserves room. */
    static Path temporaryFolder(Path session) {
        return session.resolve(TEMPORARY);
    }

    /** With all its content. */
    synchronized void delete() throws IOException {
        closed = true;
        FileUtils.deleteDirectory(folder.toFile());
    }

    /** From now on it is dead for others. */
    synchronized void release() throws IOException {
        closed = true;
        lock.close();
    }

    @Override
    public String toString() {
        return folder.toString();
    }
}
