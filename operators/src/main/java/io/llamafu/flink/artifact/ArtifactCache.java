package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.util.FileUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;

/**
 * A folder of fetched files that all jobs and processes of a machine may share.
 *
 * <pre>
 * content/SHA-256        complete files, never changed
 * used/SHA-256           when each was used last
 * index/URI-hash         which content a URI had, at which size and time; and the lock of who fetches it
 * sessions/ID/           of one class loader: hard links to what it uses, files being fetched, and its lock
 * lock                   held for moments, by who counts bytes or opens and clears sessions
 * </pre>
 *
 * <p>A session of which the lock is free ended without being closed: whoever opens a session next deletes it, with its
 * temporary files and links. Thread-safe.
 */
final class ArtifactCache implements Shared.Value {
    private static final Logger LOG = LoggerFactory.getLogger(ArtifactCache.class);

    /** The same for each opening, so that an engine that is still warm is found under the same paths. */
    private static final String CLASS_LOADER_ID = UUID.randomUUID().toString();

    private static final String SESSION_LOCK = "lock";
    private static final String TEMPORARY = "temporary";
    /** After that, the file is fetched beside who seems to hang: it costs time, and harms nothing. */
    private static final Duration FETCH_PATIENCE = Duration.ofMinutes(10);

    private static final Duration LOCK_PATIENCE = Duration.ofMinutes(1);
    private static final int ATTEMPTS = 5;
    private static final int BUFFER_BYTES = 1 << 20;

    private final Path folder;
    private final long maxBytes;
    private final CacheContents contents;
    private final CacheIndex index;
    private final Path session;
    private final CacheLock sessionLock;
    private final List<IdleLinks> idleLinks = new CopyOnWriteArrayList<>();

    /**
     * Which cache.
     *
     * @param folder on one local file system
     * @param maxBytes the most bytes of all fetched files; 0 is no limit
     */
    record Settings(Path folder, long maxBytes) {}

    /** A file that was linked: which version it is. */
    record Linked(RemoteFile version, String digest) {}

    /** Somebody with links that could be given up. */
    interface IdleLinks {
        /** Deletes the link that was used the longest ago and is not in use; false if there is none. */
        boolean releaseOldest() throws IOException;
    }

    private ArtifactCache(Settings settings, Path session, CacheLock sessionLock) {
        this.folder = settings.folder();
        this.maxBytes = settings.maxBytes();
        this.contents = new CacheContents(folder.resolve("content"), folder.resolve("used"));
        this.index = new CacheIndex(folder.resolve("index"));
        this.session = session;
        this.sessionLock = sessionLock;
    }

    /**
     * Opens a session, and clears what ended processes left.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder cannot be used
     */
    static ArtifactCache open(Settings settings) {
        Path folder = settings.folder();
        try {
            createFolder(folder);
            for (String part : List.of("content", "used", "index", "sessions")) {
                Files.createDirectories(folder.resolve(part));
            }
            // Under the lock, so that nobody takes a session for a dead one before it has its own lock.
            return locked(folder, () -> {
                clearDeadSessions(folder);
                Path session = folder.resolve("sessions").resolve(CLASS_LOADER_ID + "-" + settings.maxBytes());
                Files.createDirectories(session.resolve(TEMPORARY));
                CacheLock sessionLock = CacheLock.tryAcquire(session.resolve(SESSION_LOCK))
                        .orElseThrow(() -> new IOException(session + " is in use"));
                return new ArtifactCache(settings, session, sessionLock);
            });
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "cache.dir is '%s', which cannot be used (%s); name a folder on a local disk that Flink may write to."
                            .formatted(folder, e),
                    e);
        }
    }

    /** What others could write here would be loaded as a model. */
    private static void createFolder(Path folder) throws IOException {
        if (Files.isDirectory(folder)) {
            if (Files.getPosixFilePermissions(folder).contains(PosixFilePermission.OTHERS_WRITE)) {
                throw new IOException("everybody may write to it, and so replace a model");
            }
        } else {
            if (folder.getParent() != null) {
                Files.createDirectories(folder.getParent());
            }
            Files.createDirectories(
                    folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        }
    }

    private interface Action<T> {
        T run() throws IOException;
    }

    private static <T> T locked(Path folder, Action<T> action) throws IOException {
        CacheLock lock = CacheLock.acquire(folder.resolve("lock"), LOCK_PATIENCE)
                .orElseThrow(() -> new IOException("its lock was not free within " + LOCK_PATIENCE));
        try {
            return action.run();
        } finally {
            lock.close();
        }
    }

    private static void clearDeadSessions(Path folder) throws IOException {
        try (Stream<Path> sessions = Files.list(folder.resolve("sessions"))) {
            for (Path session : sessions.toList()) {
                Optional<CacheLock> dead = CacheLock.tryAcquire(session.resolve(SESSION_LOCK));
                if (dead.isPresent()) {
                    LOG.info("Clearing {}, which an ended process left.", session);
                    try {
                        FileUtils.deleteDirectory(session.toFile());
                    } finally {
                        dead.get().close();
                    }
                }
            }
        }
    }

    /** A folder for links, gone with the session. Must be on this file system for links to be possible. */
    Path linkFolder(String name) throws IOException {
        return Files.createDirectories(session.resolve(name));
    }

    /** Where the content lies; it stays while it is linked. */
    Path fileOf(String digest) {
        return contents.fileOf(digest);
    }

    /** Lets links of a user be given up when room is needed. */
    void register(IdleLinks links) {
        idleLinks.add(links);
    }

    void unregister(IdleLinks links) {
        idleLinks.remove(links);
    }

    /**
     * Makes the target a link to the present content of a URI, which is fetched unless it is here. Blocks.
     *
     * @throws IOException if it cannot be fetched; FileNotFoundException if it is not there
     * @throws LlamafuException with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if there is no room for it
     */
    Linked link(URI uri, Path target) throws IOException {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            RemoteFile file = RemoteFile.at(uri);
            Optional<String> known = index.digestOf(file);
            if (known.isPresent() && contents.link(known.get(), file.byteSize(), target)) {
                return new Linked(file, known.get());
            }
            Optional<CacheLock> lock = CacheLock.acquire(index.lockOf(uri), FETCH_PATIENCE);
            try {
                // Whoever had the lock has most likely fetched it.
                Optional<String> fetched = index.digestOf(file);
                if (fetched.isPresent() && contents.link(fetched.get(), file.byteSize(), target)) {
                    return new Linked(file, fetched.get());
                }
                Optional<String> digest = fetch(file);
                // The content could be evicted before it is linked; then it is fetched once more.
                if (digest.isPresent() && contents.link(digest.get(), file.byteSize(), target)) {
                    return new Linked(file, digest.get());
                }
            } finally {
                if (lock.isPresent()) {
                    lock.get().close();
                }
            }
        }
        throw new IOException("it changes while it is read; publish it by renaming a complete file");
    }

    /** The digest of this version; empty if it was published again while it was read. */
    private Optional<String> fetch(RemoteFile file) throws IOException {
        long start = System.nanoTime();
        Path temporary = session.resolve(TEMPORARY).resolve(UUID.randomUUID().toString());
        try {
            reserve(file, temporary);
            Optional<String> digest = copy(file, temporary);
            if (digest.isEmpty() || !RemoteFile.at(file.uri()).equals(file)) {
                return Optional.empty();
            }
            contents.add(temporary, digest.get());
            index.put(
                    file,
                    digest.get(),
                    temporary.resolveSibling(UUID.randomUUID().toString()));
            LOG.info(
                    "Fetched {} ({} bytes, SHA-256 {}) into {} in {} ms.",
                    file.uri(),
                    file.byteSize(),
                    digest.get(),
                    folder,
                    Duration.ofNanos(System.nanoTime() - start).toMillis());
            return digest;
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /** A sparse file of the final length, so that others count it. */
    private void reserve(RemoteFile file, Path temporary) throws IOException {
        locked(folder, () -> {
            makeRoom(file);
            try (RandomAccessFile reserved = new RandomAccessFile(temporary.toFile(), "rw")) {
                reserved.setLength(file.byteSize());
            }
            return temporary;
        });
    }

    private void makeRoom(RemoteFile file) throws IOException {
        if (maxBytes == 0) {
            return;
        }
        while (contents.bytes() + temporaryBytes() + file.byteSize() > maxBytes) {
            if (!contents.evictOldest() && !releaseOldestLink()) {
                throw new LlamafuException(
                        ErrorCode.ARTIFACT_UNAVAILABLE,
                        "'%s' has %d bytes, but cache.max-size is %d and %d of it are in use; raise it."
                                .formatted(file.uri(), file.byteSize(), maxBytes, contents.bytes() + temporaryBytes()));
            }
        }
    }

    private boolean releaseOldestLink() throws IOException {
        for (IdleLinks links : idleLinks) {
            if (links.releaseOldest()) {
                return true;
            }
        }
        return false;
    }

    private long temporaryBytes() throws IOException {
        long bytes = 0;
        try (Stream<Path> sessions = Files.list(folder.resolve("sessions"))) {
            for (Path other : sessions.toList()) {
                Path temporary = other.resolve(TEMPORARY);
                if (Files.isDirectory(temporary)) {
                    try (Stream<Path> files = Files.list(temporary)) {
                        bytes += files.mapToLong(file -> file.toFile().length()).sum();
                    }
                }
            }
        }
        return bytes;
    }

    /** The digest of what was copied; empty if that is not all of the version. */
    private static Optional<String> copy(RemoteFile file, Path target) throws IOException {
        MessageDigest digest = Sha256.start();
        byte[] buffer = new byte[BUFFER_BYTES];
        long copied = 0;
        try (InputStream in = file.open();
                FileChannel out = FileChannel.open(target, StandardOpenOption.WRITE)) {
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new InterruptedIOException("interrupted while reading " + file.uri());
                }
                copied += read;
                if (copied > file.byteSize()) {
                    return Optional.empty();
                }
                digest.update(buffer, 0, read);
                ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, read);
                while (bytes.hasRemaining()) {
                    out.write(bytes);
                }
            }
            // A name must not appear before its bytes are on the disk.
            out.force(true);
        } catch (RuntimeException e) {
            throw new IOException(e.toString(), e);
        }
        return copied == file.byteSize() ? Optional.of(Sha256.finish(digest)) : Optional.empty();
    }

    /** The thread may be that of a cancelled task: an interrupt must not keep the session from being closed. */
    @Override
    public void close() {
        boolean interrupted = Thread.interrupted();
        try {
            clear();
        } catch (IOException e) {
            LOG.warn("{} could not be cleared; the next process that opens the cache does it.", session, e);
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void clear() throws IOException {
        try {
            locked(folder, () -> {
                FileUtils.deleteDirectory(session.toFile());
                return session;
            });
        } finally {
            sessionLock.close();
        }
    }
}
