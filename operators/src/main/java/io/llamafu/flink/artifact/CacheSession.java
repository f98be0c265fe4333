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
 * A folder of one class loader in the cache: links to what it uses, and room that it has reserved. Others see by its lock
 * that it is alive. Somebody who clears away old files may remove the lock; then it is made again at the next {@link
 * #refresh}, and until long after that nobody takes the session for a dead one. Opened, made again and
 * deleted under the lock of the cache.
 */
final class CacheSession {
    private static final Logger LOG = LoggerFactory.getLogger(CacheSession.class);

    private static final String LOCK = "lock";
    private static final String TEMPORARY = "temporary";
    /** Much longer than between two refreshes: then nobody makes the lock again. */
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
        Files.createDirectories(folder.resolve(TEMPORARY));
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

    /** Removing the lock has changed the time of the folder. */
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

    /** Makes the lock young, and makes it again if it is gone. */
    synchronized void refresh() throws IOException {
        if (closed) {
            return;
        }
        if (lock.isInPlace()) {
            lock.touch();
        } else {
            LOG.warn("Somebody removed the lock of {}; exclude cache.dir where old files are cleared away.", folder);
            CacheLock again = lock(folder);
            lock.close();
            lock = again;
        }
    }

    /** A folder for links, gone with the session. On this file system, or links would be impossible. */
    Path linkFolder(String name) throws IOException {
        return Files.createDirectories(folder.resolve(name));
    }

    /** A file that does not exist, of which the size counts as reserved while it does; gone with the session. */
    Path temporary(String name) throws IOException {
        return Files.createDirectories(folder.resolve(TEMPORARY)).resolve(name);
    }

    Path temporary() throws IOException {
        return temporary(UUID.randomUUID().toString());
    }

    /** The folder in which a session reserves room. */
    static Path temporaryFolder(Path session) {
        return session.resolve(TEMPORARY);
    }

    /** With all that is in it. */
    synchronized void delete() throws IOException {
        closed = true;
        FileUtils.deleteDirectory(folder.toFile());
    }

    /** From now on it is dead to others. */
    synchronized void release() throws IOException {
        closed = true;
        lock.close();
    }

    @Override
    public String toString() {
        return folder.toString();
    }
}
