package io.llamafu.flink.artifact;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.URI;
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
 * used/SHA-256           when each was used last
 * index/URI-hash         which content a URI had, at which size and time; and the lock of who fetches it
 * partial/URI-hash       what is here of files that are being fetched, or were when the fetch was interrupted
 * sessions/ID/           of one class loader: hard links to what it uses, reserved room, and its lock
 * lock                   held for moments, by who counts bytes or opens and clears sessions
 * </pre>
 *
 * <p>A session of which the lock is free ended without being closed: whoever opens a session next deletes it, with its
 * links. Any of it may be removed from outside at any time: what is missing is made or fetched again. Thread-safe.
 */
final class ArtifactCache implements Shared.Value {
    private static final Logger LOG = LoggerFactory.getLogger(ArtifactCache.class);

    /** The same for each opening, so that an engine that is still warm is found under the same paths. */
    private static final String CLASS_LOADER_ID = UUID.randomUUID().toString();

    private static final Duration LOCK_PATIENCE = Duration.ofMinutes(1);
    private static final Duration KEEP_PARTIAL = Duration.ofDays(7);
    private static final int ATTEMPTS = 5;

    private static final Shared<Settings, ArtifactCache> SHARED = new Shared<>();
    /** Models are large: what was found to be sound is not read again when a job restarts. */
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
     * Which cache.
     *
     * @param folder on one local file system; for {@link Shared}, with all links resolved
     * @param maxBytes the most bytes of all fetched files; 0 is no limit
     */
    record Settings(Path folder, long maxBytes) {}

    /**
     * What tests change.
     *
     * @param fetchPatience how long somebody else may fetch a file without progress. After that, the file is fetched beside
     *     who seems to hang: it costs time, and harms nothing
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
     * A file that was linked.
     *
     * @param version which one it is
     * @param fetched whether it was not here
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

    /** The cache that all of this class loader share who ask for the same one. */
    static Shared<Settings, ArtifactCache>.Share shared(Settings settings) {
        return SHARED.acquire(settings, missing -> open(missing, Tuning.standard(SOUND)));
    }

    /** Opens a session with the standard tuning, and its own memory of what is sound. */
    static ArtifactCache open(Settings settings) {
        return open(settings, Tuning.standard(new SoundContents()));
    }

    /**
     * Opens a session, and clears what ended processes left.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder cannot be used
     */
    static ArtifactCache open(Settings settings, Tuning tuning) {
        Path folder = CacheFolder.prepare(settings.folder(), true);
        try {
            createParts(folder);
            // Under the lock, so that nobody takes a session for a dead one before it has its own lock.
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

    private static void createParts(Path folder) throws IOException {
        for (String part : List.of("content", "used", "index", "partial", "sessions")) {
            Files.createDirectories(folder.resolve(part));
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

    /** On a thread of its own: an interrupt of the one that writes to the lock would free it. */
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
            // Whoever clears sessions must not see it between its creation and its lock.
            locked(folder, () -> {
                session.refresh();
                return session;
            });
        }
    }

    /** A folder for links, gone with the session. Must be on this file system for links to be possible. */
    Path linkFolder(String name) throws IOException {
        return session.linkFolder(name);
    }

    /**
     * A file that stays in the cache until this is closed.
     *
     * @param fetched whether it was not here
     * @param content the file: one path for all who use it
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

    /** Pins the content of a version of a file, as {@link #link(RemoteFile, Path, Runnable)} links it. */
    Pin pin(RemoteFile file, Runnable progress) throws IOException {
        Path link = linkFolder("pins").resolve(UUID.randomUUID().toString());
        Linked linked = link(file, link, progress);
        return new Pin(linked.version(), linked.digest(), linked.fetched(), fileOf(linked.digest()), link);
    }

    /** Where the content lies; it stays while it is linked. */
    Path fileOf(String digest) {
        return contents.fileOf(digest);
    }

    /** As {@link #link(RemoteFile, Path, Runnable)}, of the present version. */
    Linked link(URI uri, Path target) throws IOException {
        return link(RemoteFile.at(uri), target, () -> {});
    }

    /**
     * Makes the target a link to the content of a version of a file, which is fetched unless it is here; or of a later
     * version, if there is one by then. Blocks. As long as another process makes progress with the same file, it is waited
     * for.
     *
     * @param file as somebody saw it
     * @param progress runs now and then while bytes come, or are read
     * @throws IOException if it cannot be fetched; FileNotFoundException if it is not there
     * @throws LlamafuException with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if there is no room for it
     */
    Linked link(RemoteFile file, Path target, Runnable progress) throws IOException {
        RemoteFile wanted = file;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
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
        createParts(folder);
        Path data = partial.resolve(CacheIndex.idOf(file.uri()));
        Optional<CacheLock> lock =
                CacheLock.acquire(index.lockOf(file.uri()), tuning.fetchPatience(), progressOf(data, progress));
        try {
            // Whoever had the lock has most likely fetched it.
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

    /** Of whoever fetches the file, told to who waits for it as well. */
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
     * The digest of this version; empty if it was published again while it was read.
     *
     * @param alone whether nobody else fetches the file, so that what was fetched before may be gone on with
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

    /** A full disk makes what nobody uses leave, once, for all that is left to write. */
    private void writeMakingRoom(RemoteFile file, String name, FileChannel out, ByteBuffer bytes, long left)
            throws IOException {
        try {
            tuning.disk().write(out, bytes);
        } catch (IOException e) {
            if (!CacheDisk.isFull(e)) {
                throw e;
            }
            LOG.warn("The disk of {} is full; contents that nobody uses make room for {}.", folder, file.uri());
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

    /** The thread may be that of a cancelled task: an interrupt must not keep the session from being closed. */
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
