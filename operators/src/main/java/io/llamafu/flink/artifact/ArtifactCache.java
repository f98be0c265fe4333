package io.llamafu.flink.artifact;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.stream.Stream;

/**
 * A folder of fetched files that all jobs and processes of a machine may share.
 *
 * <pre>
 * content/SHA-256        complete files, never changed
 * used/SHA-256           when each was last used
 * index/URI-hash         the content of a URI, with its size and time; and the lock of a fetch
 * partial/URI-hash       the parts of running and interrupted fetches
 * sessions/ID/           of one class loader: hard links to what it uses, reserved room, and its lock
 * lock                   held briefly, to count bytes and to open and clear sessions
 * </pre>
 *
 * <p>A session with a free lock ended without being closed; the next session to be opened deletes it, with its links.
 * Anything may be removed from outside at any time and is created or fetched again. Thread-safe.
 */
final class ArtifactCache implements Shared.Value {
    private static final Logger LOG = LoggerFactory.getLogger(ArtifactCache.class);

    /** The same each time, so that an engine that is still open is found under the same paths. */
    private static final String CLASS_LOADER_ID = UUID.randomUUID().toString();

    private static final Duration LOCK_PATIENCE = Duration.ofMinutes(1);
    private static final Duration KEEP_PARTIAL = Duration.ofDays(7);
    private static final int ATTEMPTS = 5;

    private static final Shared<Settings, ArtifactCache> SHARED = new Shared<>();
    /** Models are large, so a verified one is not read again when a job restarts. */
    private static final SoundContents SOUND = new SoundContents();

    private final Path folder;
    private final Tuning tuning;
    private final CacheContents contents;
    private final CacheIndex index;
    private final Path partial;
    private final CacheIndex partialNotes;
    private final CacheSession session;
    private final CacheRoom room;
    private final ScheduledThreadPoolExecutor refresher;

    /**
     * Identifies a cache.
     *
     * @param folder on one local file system; for {@link Shared}, with all links resolved
     * @param maxBytes the most bytes of all fetched files; 0 is no limit
     */
    record Settings(Path folder, long maxBytes) {}

    /**
     * Values that tests change.
     *
     * @param fetchPatience how long another process may fetch a file without progress. After that the file is fetched a
     *     second time, which costs time but does no harm
     * @param refreshInterval how often a session shows that it is alive
     * @param noteBytes how much of a file may have to be fetched again after a crash
     */
    record Tuning(
            Duration fetchPatience, Duration refreshInterval, long noteBytes, CacheDisk disk, SoundContents sound) {
        static Tuning standard(SoundContents sound) {
            return new Tuning(Duration.ofMinutes(2), Duration.ofMinutes(1), 64 << 20, CacheDisk.LOCAL, sound);
        }
    }

    /**
     * A linked file.
     *
     * @param version the linked version
     * @param fetched whether it had to be fetched
     */
    record Linked(RemoteFile version, String digest, boolean fetched) {}

    private ArtifactCache(Settings settings, Tuning tuning, CacheSession session) {
        this.folder = settings.folder();
        this.tuning = tuning;
        this.contents = new CacheContents(folder.resolve("content"), folder.resolve("used"), tuning.sound());
        this.index = new CacheIndex(folder.resolve("index"), CacheIndex.DIGEST);
        this.partial = folder.resolve("partial");
        this.partialNotes = new CacheIndex(partial, CacheIndex.FETCHED_BYTES);
        this.session = session;
        this.room = new CacheRoom(folder.resolve("sessions"), partial, contents, session, settings.maxBytes());
        this.refresher = new ScheduledThreadPoolExecutor(1, DaemonThreads.named("llamafu-cache-session"));
    }

    /** The cache of these settings, shared within this class loader. */
    static Shared<Settings, ArtifactCache>.Share shared(Settings settings) {
        return SHARED.acquire(settings, missing -> open(missing, Tuning.standard(SOUND)));
    }

    /** Opens a session with the default tuning and its own record of verified contents. */
    static ArtifactCache open(Settings settings) {
        return open(settings, Tuning.standard(new SoundContents()));
    }

    /**
     * Opens a session, and deletes what ended processes left behind.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder cannot be used
     */
    static ArtifactCache open(Settings settings, Tuning tuning) {
        Path folder = CacheFolder.prepare(settings.folder(), true);
        try {
            createParts(folder);
            // Under the lock, so that the session is not taken for a dead one before it holds its own lock.
            CacheSession session = locked(folder, () -> {
                CacheSession.clearDead(folder.resolve("sessions"));
                clearOldParts(folder.resolve("partial"));
                return CacheSession.open(
                        folder.resolve("sessions").resolve(CLASS_LOADER_ID + "-" + settings.maxBytes()));
            });
            ArtifactCache cache = new ArtifactCache(new Settings(folder, settings.maxBytes()), tuning, session);
            cache.refreshRegularly();
            return cache;
        } catch (IOException e) {
            throw CacheFolder.unusable(folder, e);
        }
    }

    /** Checks those that exist: their permissions can have changed since the cache was opened. */
    private static void createParts(Path folder) throws IOException {
        for (String part : List.of("content", "used", "index", "partial", "sessions")) {
            OwnFiles.folder(folder.resolve(part));
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

    private static void clearOldParts(Path partial) throws IOException {
        try (Stream<Path> files = Files.list(partial)) {
            for (Path file : files.toList()) {
                if (Files.getLastModifiedTime(file)
                        .toInstant()
                        .isBefore(Instant.now().minus(KEEP_PARTIAL))) {
                    Files.deleteIfExists(file);
                }
            }
        } catch (NoSuchFileException e) {
            // Another process has fetched the rest.
        }
    }

    private void refreshRegularly() {
        long millis = tuning.refreshInterval().toMillis();
        ScheduledFuture<?> unused =
                refresher.scheduleWithFixedDelay(this::refresh, millis, millis, TimeUnit.MILLISECONDS);
    }

    /** On a separate thread, because an interrupt of the thread that writes to the lock would free it. */
    private void refresh() {
        try {
            refreshSession();
        } catch (IOException | RuntimeException e) {
            LOG.warn("{} could not be refreshed; another process may take it for a dead one.", session, e);
        }
    }

    private void refreshSession() throws IOException {
        if (session.isMarked()) {
            session.refresh();
        } else {
            createParts(folder);
            // Clearing must not see the session between its creation and its lock.
            locked(folder, () -> {
                session.refresh();
                return session;
            });
        }
    }

    /** A folder for links, deleted with the session. It is on the same file system, as hard links require. */
    Path linkFolder(String name) throws IOException {
        return session.linkFolder(name);
    }

    /**
     * A file that stays in the cache until this is closed.
     *
     * @param fetched whether it had to be fetched
     * @param content the file, with the same path for all users
     * @param link keeps it from being evicted
     */
    record Pin(RemoteFile version, String digest, boolean fetched, Path content, Path link) implements AutoCloseable {
        /** Idempotent; does not throw. */
        @Override
        public void close() {
            try {
                Files.deleteIfExists(link);
            } catch (IOException e) {
                LOG.warn("{} could not be deleted; the cache keeps {} until this process ends.", link, content, e);
            }
        }
    }

    /** Pins the content of a version of a file, linked as by {@link #link(RemoteFile, Path, Runnable)}. */
    Pin pin(RemoteFile file, Runnable progress) throws IOException {
        Path link = linkFolder("pins").resolve(UUID.randomUUID().toString());
        Linked linked;
        try {
            linked = link(file, link, progress);
        } catch (IOException | RuntimeException | Error e) {
            Files.deleteIfExists(link);
            throw e;
        }
        return new Pin(linked.version(), linked.digest(), linked.fetched(), fileOf(linked.digest()), link);
    }

    /** The path of a content, which stays while it is linked. */
    Path fileOf(String digest) {
        return contents.fileOf(digest);
    }

    /**
     * Makes the target a link to the content of a version of a file, which is fetched unless it is in the cache; or of
     * a later version, if there is one by then. Blocks. Waits for another process that fetches the same file, as long
     * as that makes progress.
     *
     * @param file the version as last seen
     * @param progress runs from time to time while bytes arrive or are read
     * @throws IOException if it cannot be fetched; FileNotFoundException if it does not exist
     * @throws LlamafuException with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if there is no room for it, and {@link
     *     ErrorCode#INVALID_OPTION} if others could have changed the cache
     */
    Linked link(RemoteFile file, Path target, Runnable progress) throws IOException {
        RemoteFile wanted = file;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            createParts(folder);
            Optional<Linked> linked = linkWhatIsHere(wanted, target, progress);
            if (linked.isEmpty()) {
                RemoteFile present = RemoteFile.at(file.uri());
                wanted = present.isSameVersionAs(wanted) ? wanted : present;
                linked = linkFetched(wanted, target, progress);
            }
            if (linked.isPresent()) {
                return linked.get();
            }
        }
        throw new IOException("it changes while it is read; publish it by renaming a complete file");
    }

    private Optional<Linked> linkWhatIsHere(RemoteFile file, Path target, Runnable progress) throws IOException {
        Optional<String> known = index.find(file);
        return known.isPresent() && contents.link(known.get(), file.byteSize(), target, progress)
                ? Optional.of(new Linked(file, known.get(), false))
                : Optional.empty();
    }

    private Optional<Linked> linkFetched(RemoteFile file, Path target, Runnable progress) throws IOException {
        Optional<Linked> here = linkWhatIsHere(file, target, progress);
        if (here.isPresent()) {
            return here;
        }
        Path data = partial.resolve(CacheIndex.idOf(file.uri()));
        Optional<CacheLock> lock =
                CacheLock.acquire(index.lockOf(file.uri()), tuning.fetchPatience(), progressOf(data, progress));
        try {
            // The previous holder of the lock has probably fetched it.
            Optional<Linked> fetched = linkWhatIsHere(file, target, progress);
            if (fetched.isPresent()) {
                return fetched;
            }
            Optional<String> digest = fetch(file, lock.isPresent(), progress);
            // The content could be evicted before it is linked; then it is fetched once more.
            return digest.isPresent() && contents.link(digest.get(), file.byteSize(), target, progress)
                    ? Optional.of(new Linked(file, digest.get(), true))
                    : Optional.empty();
        } finally {
            if (lock.isPresent()) {
                lock.get().close();
            }
        }
    }

    /** The progress of the process that fetches the file, which is also reported to the waiting caller. */
    private static LongSupplier progressOf(Path data, Runnable progress) {
        AtomicLong last = new AtomicLong();
        return () -> {
            long reached = PartialFile.progressOf(data);
            if (last.getAndSet(reached) != reached) {
                progress.run();
            }
            return reached;
        };
    }

    /**
     * The digest of this version; empty if it was replaced while it was read.
     *
     * @param alone whether no other process fetches the file, so that an interrupted fetch can be resumed
     */
    private Optional<String> fetch(RemoteFile file, boolean alone, Runnable progress) throws IOException {
        long start = System.nanoTime();
        String id = CacheIndex.idOf(file.uri());
        String name = alone ? id : id + "-" + UUID.randomUUID();
        Path reservation = locked(folder, () -> room.reserve(file, name));
        Path data = partial.resolve(name);
        PartialFile fetching = new PartialFile(data, partialNotes, file, alone);
        try {
            Optional<String> digest = fetching.complete(tuning.noteBytes(), steps(file, name, progress));
            if (digest.isPresent() && RemoteFile.at(file.uri()).isSameVersionAs(file)) {
                contents.add(data, digest.get(), progress);
                index.put(file, digest.get(), session.temporary());
                LOG.info(
                        "Fetched {} ({} bytes, SHA-256 {}) into {} in {} ms.",
                        file.uri(),
                        file.byteSize(),
                        digest.get(),
                        folder,
                        Duration.ofNanos(System.nanoTime() - start).toMillis());
            } else {
                digest = Optional.empty();
            }
            if (alone) {
                fetching.discard();
            }
            return digest;
        } finally {
            if (!alone) {
                Files.deleteIfExists(data);
            }
            Files.deleteIfExists(reservation);
        }
    }

    private PartialFile.Steps steps(RemoteFile file, String name, Runnable progress) {
        return new PartialFile.Steps() {
            @Override
            public void write(FileChannel out, ByteBuffer bytes, long left) throws IOException {
                writeMakingRoom(file, name, out, bytes, left);
            }

            @Override
            public Path temporaryNote() throws IOException {
                return session.temporary();
            }

            @Override
            public void progress() {
                progress.run();
            }
        };
    }

    /** If the disk is full, evicts idle contents once, for all bytes left to write. */
    private void writeMakingRoom(RemoteFile file, String name, FileChannel out, ByteBuffer bytes, long left)
            throws IOException {
        try {
            tuning.disk().write(out, bytes);
        } catch (IOException e) {
            if (!CacheDisk.isFull(e)) {
                throw e;
            }
            LOG.warn("The disk of {} is full; evicting idle files to make room for {}.", folder, file.uri());
            if (!locked(folder, () -> room.free(left, name))) {
                throw new LlamafuException(
                        ErrorCode.ARTIFACT_UNAVAILABLE,
                        "'%s' has %d bytes, of which %d do not fit on the disk of cache.dir '%s', and less than that is not in use; make room there, or lower cache.max-size."
                                .formatted(file.uri(), file.byteSize(), left, folder),
                        e);
            }
            tuning.disk().write(out, bytes);
        }
    }

    /** The thread may be that of a cancelled task; an interrupt must not keep the session from being closed. */
    @Override
    public void close() {
        boolean interrupted = Thread.interrupted();
        refresher.shutdownNow();
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
                session.delete();
                return session;
            });
        } finally {
            session.release();
        }
    }
}
