package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.flink.artifact.ArtifactCache.Linked;
import io.llamafu.flink.artifact.RemoteAdapters.Version;
import org.apache.flink.util.FileUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Remote adapters, and a local folder that has those of their files that were asked for. Engines read the local folder as
 * if it were a folder of adapters itself.
 *
 * <pre>
 * .versions/ID/NAME.gguf    links to the files of a version, which never change
 * .versions/ID/NAME.json
 * NAME.gguf                 a symbolic link to the version that answers: adapter and card change with one rename
 * </pre>
 *
 * <p>The adapters of each store are listed on the refresh interval, and when a name is asked for that the last listing
 * lacks. An adapter is fetched when it is first asked for; afterwards a new version is fetched as soon as a listing shows
 * it, while the old one answers. Files that are gone remotely go locally; what somebody removed or changed locally is
 * fetched again. Stores have threads of their own, so that one that hangs holds up no other.
 */
final class AdapterMirror implements Shared.Value, CacheRoom.IdleLinks {
    private static final Logger LOG = LoggerFactory.getLogger(AdapterMirror.class);

    private static final String VERSIONS = ".versions";
    private static final int FETCH_THREADS = 4;
    private static final int ATTEMPTS = 5;
    /** Longer than the cache waits for somebody else who fetches the same file and makes no progress. */
    private static final Duration STALLED = Duration.ofMinutes(5);

    private static final int MOST_NAMES_IN_MESSAGE = 10;
    /** Between listings for unknown names, and before a failed fetch is tried again: wrong records must not flood. */
    private static final Duration PAUSE = Duration.ofSeconds(1);

    private final RemoteAdapters adapters;
    private final Path folder;
    private final ArtifactCache cache;
    private final List<Store> stores;
    private final ScheduledThreadPoolExecutor timer;
    private final AtomicLong progress = new AtomicLong();

    // all below guarded by this
    private final Map<String, Entry> entries = new HashMap<>();
    private boolean closed;

    /**
     * Which mirror.
     *
     * @param adapters where they are
     * @param cache where its files are kept
     * @param refreshInterval between listings
     * @param stalled how long a call to a store may make no progress
     */
    record Settings(RemoteAdapters adapters, ArtifactCache.Settings cache, Duration refreshInterval, Duration stalled) {
        Settings(RemoteAdapters adapters, ArtifactCache.Settings cache, Duration refreshInterval) {
            this(adapters, cache, refreshInterval, STALLED);
        }
    }

    private record Failure(LlamafuException reason, long nanos) {}

    /**
     * The files of a version in the local folder.
     *
     * @param folder has these files only
     * @param adapter what the file system said of it when it was linked
     * @param digests of the contents that are linked
     */
    private record Local(
            Version version,
            Path folder,
            AdapterFile.Stamp adapter,
            Optional<AdapterFile.Stamp> card,
            List<String> digests) {}

    private static final class Entry {
        private final String name;
        private final Store store;
        /** Empty once a listing lacks it. */
        private Optional<Version> remote = Optional.empty();
        /** Empty until it was fetched. */
        private Optional<Local> local = Optional.empty();

        private Optional<CompletableFuture<Void>> fetch = Optional.empty();
        private Optional<Failure> failure = Optional.empty();
        private int uses;
        private long lastUsedNanos;

        private Entry(String name, Store store) {
            this.name = name;
            this.store = store;
        }
    }

    /** A listing that is under way. */
    private static final class Listing {
        // guarded by the mirror
        private Optional<CompletableFuture<Void>> waiting = Optional.empty();
        private long number;
    }

    /** The adapters of one store, and the calls to it. */
    private static final class Store {
        private final RemoteAdapters adapters;
        private final StoreThreads listers;
        private final StoreThreads fetchers;

        // all below guarded by the mirror
        private Optional<CompletableFuture<Void>> nextListing = Optional.empty();
        private long lastListingNanos = System.nanoTime();
        private boolean listingQueued;
        private long listings;
        private boolean reachable = true;

        private Store(RemoteAdapters adapters, Duration stalled) {
            this.adapters = adapters;
            this.listers = new StoreThreads("llamafu-adapter-listing", 1, stalled);
            this.fetchers = new StoreThreads("llamafu-adapter-fetch", FETCH_THREADS, stalled);
        }
    }

    /** Keeps adapters in the local folder while a request needs them. */
    final class Use implements AutoCloseable {
        private final List<Entry> used;
        private final AtomicBoolean released = new AtomicBoolean();

        private Use(List<Entry> used) {
            this.used = used;
        }

        /** Idempotent. */
        @Override
        public void close() {
            if (released.compareAndSet(false, true)) {
                synchronized (AdapterMirror.this) {
                    used.forEach(entry -> entry.uses--);
                }
            }
        }
    }

    private AdapterMirror(Settings settings, Path folder, ArtifactCache cache) {
        this.adapters = settings.adapters();
        this.folder = folder;
        this.cache = cache;
        this.stores = adapters.byStore().stream()
                .map(part -> new Store(part, settings.stalled()))
                .toList();
        this.timer = new ScheduledThreadPoolExecutor(1, DaemonThreads.named("llamafu-adapter-timer"));
    }

    /**
     * Lists the remote adapters for the first time, on this thread, and goes on listing them.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if there is no such folder or file system, or a name
     *     stands for two files, and {@link ErrorCode#ARTIFACT_UNAVAILABLE} if they cannot be read
     */
    static AdapterMirror open(Settings settings, ArtifactCache cache) {
        Map<String, Version> versions = settings.adapters().list();
        AdapterMirror mirror = new AdapterMirror(settings, linkFolder(settings, cache), cache);
        mirror.stores.forEach(store -> mirror.apply(store, versions));
        cache.register(mirror);
        mirror.start(Math.max(1, settings.refreshInterval().toMillis()));
        return mirror;
    }

    private void start(long refreshMillis) {
        repeat(refreshMillis, () -> stores.forEach(this::queueListing));
        repeat(
                PAUSE.toMillis(),
                () -> stores.forEach(store -> {
                    store.listers.giveUpHanging();
                    store.fetchers.giveUpHanging();
                }));
    }

    private void repeat(long millis, Runnable action) {
        ScheduledFuture<?> unused = timer.scheduleWithFixedDelay(action, millis, millis, TimeUnit.MILLISECONDS);
    }

    private static Path linkFolder(Settings settings, ArtifactCache cache) {
        try {
            // The interval is in the name because engines with different ones must not share a folder.
            Path folder =
                    cache.linkFolder("adapters-" + Sha256.of(settings.adapters() + " " + settings.refreshInterval()));
            // Of a mirror before this one; its links would keep contents in the cache.
            FileUtils.cleanDirectory(folder.toFile());
            return folder;
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "cache.dir cannot be written to (%s); name a folder on a local disk.".formatted(e),
                    e);
        }
    }

    /** As messages name what is mirrored. */
    String described() {
        return adapters.described();
    }

    /** The local folder. */
    Path folder() {
        return folder;
    }

    /** Where the file of an adapter is while it is in use. */
    Path fileOf(String name) {
        return folder.resolve(name + RemoteAdapters.SUFFIX);
    }

    /** A number that grows while bytes come. */
    long progress() {
        return progress.get();
    }

    /** Whose adapter a name is, if there is one; empty if it can be in no store. */
    private Optional<Store> storeOf(String name) {
        boolean named = adapters.files().containsKey(name);
        return stores.stream()
                .filter(store -> named
                        ? store.adapters.files().containsKey(name)
                        : store.adapters.folder().isPresent())
                .findFirst();
    }

    /** Whether the last listing has it. */
    synchronized boolean lists(String name) {
        return isListed(name);
    }

    /** The adapters of the last listing that are not here, by name, with the bytes of their files. */
    synchronized Map<String, Long> notFetched() {
        Map<String, Long> bytes = new HashMap<>();
        entries.values().stream()
                .filter(entry -> entry.remote.isPresent() && entry.local.isEmpty())
                .forEach(entry ->
                        bytes.put(entry.name, entry.remote.get().adapter().byteSize()));
        return bytes;
    }

    /**
     * Brings adapters into the local folder and keeps them there until the use is closed. Does not wait: the future is
     * complete if all are there.
     *
     * @return fails with {@link ErrorCode#ADAPTER_NOT_FOUND} if a listing that began after this call lacks one, and
     *     {@link ErrorCode#ARTIFACT_UNAVAILABLE} if the remote folder or a file cannot be read
     */
    synchronized CompletableFuture<Use> use(Collection<String> names) {
        List<CompletableFuture<Void>> listings = names.stream()
                .filter(name -> !closed && !isListed(name))
                .flatMap(name -> storeOf(name).stream())
                .distinct()
                .map(this::nextListing)
                .toList();
        return listings.isEmpty()
                ? useListed(names)
                : CompletableFuture.allOf(listings.toArray(new CompletableFuture<?>[0]))
                        .thenCompose(listed -> useListed(names));
    }

    private boolean isListed(String name) {
        Entry entry = entries.get(name);
        return entry != null && entry.remote.isPresent();
    }

    private synchronized CompletableFuture<Use> useListed(Collection<String> names) {
        if (closed) {
            return CompletableFuture.failedFuture(closedException());
        }
        List<Entry> used = new ArrayList<>();
        for (String name : names) {
            if (!isListed(name)) {
                return CompletableFuture.failedFuture(notFound(name));
            }
            used.add(entries.get(name));
        }
        Use use = new Use(used);
        List<CompletableFuture<Void>> fetches = new ArrayList<>();
        for (Entry entry : used) {
            entry.uses++;
            entry.lastUsedNanos = System.nanoTime();
            if (!isHere(entry)) {
                fetches.add(fetch(entry));
            }
        }
        if (fetches.isEmpty()) {
            return CompletableFuture.completedFuture(use);
        }
        return CompletableFuture.allOf(fetches.toArray(new CompletableFuture<?>[0]))
                .thenApply(fetched -> use)
                .whenComplete((fetched, failure) -> {
                    if (failure != null) {
                        use.close();
                    }
                });
    }

    /** Whether its files are as they were linked: somebody may have removed or changed them. Asks the file system. */
    private boolean isHere(Entry entry) {
        return entry.local
                .filter(local -> isStill(fileOf(entry.name), local.adapter())
                        && local.card().stream().allMatch(card -> isStill(cardIn(local.folder(), entry.name), card)))
                .isPresent();
    }

    private static boolean isStill(Path file, AdapterFile.Stamp stamp) {
        try {
            return AdapterFile.Stamp.of(file).equals(stamp);
        } catch (IOException e) {
            return false;
        }
    }

    private static Path fileIn(Path version, String name) {
        return version.resolve(name + RemoteAdapters.SUFFIX);
    }

    private static Path cardIn(Path version, String name) {
        return version.resolve(name + RemoteAdapters.CARD_SUFFIX);
    }

    /** One fetch for all who wait for it. */
    private CompletableFuture<Void> fetch(Entry entry) {
        if (entry.fetch.isPresent()) {
            return entry.fetch.get();
        }
        Optional<Failure> failure = entry.failure;
        if (failure.isPresent() && System.nanoTime() - failure.get().nanos() < PAUSE.toNanos()) {
            return CompletableFuture.failedFuture(failure.get().reason());
        }
        CompletableFuture<Void> fetch = new CompletableFuture<>();
        entry.fetch = Optional.of(fetch);
        entry.store.fetchers.execute(
                onProgress -> fetchNow(entry, fetch, () -> {
                    progress.incrementAndGet();
                    onProgress.run();
                }),
                () -> fail(
                        entry, fetch, hangs("Fetching the adapter '%s' from %s".formatted(entry.name, described()))));
        return fetch;
    }

    private static LlamafuException hangs(String what) {
        return new LlamafuException(
                ErrorCode.ARTIFACT_UNAVAILABLE,
                "%s has made no progress for too long and was given up; check that the TaskManager reaches its file system."
                        .formatted(what));
    }

    private void fetchNow(Entry entry, CompletableFuture<Void> fetch, Runnable onProgress) {
        Optional<Version> wanted;
        synchronized (this) {
            wanted = entry.remote;
        }
        try {
            Local linked = link(entry.name, wanted.orElseThrow(() -> notFound(entry.name)), onProgress);
            publish(entry, fetch, linked);
            fetch.complete(null);
        } catch (LlamafuException e) {
            fail(entry, fetch, e);
        } catch (RuntimeException | Error e) {
            fail(
                    entry,
                    fetch,
                    new LlamafuException(
                            ErrorCode.ARTIFACT_UNAVAILABLE,
                            "Fetching the adapter '%s' from %s failed: %s."
                                    .formatted(entry.name, adapters.described(), e),
                            e));
        }
    }

    /** The files of one version, in a folder of their own. */
    private Local link(String name, Version listed, Runnable onProgress) {
        URI adapter = listed.adapter().uri();
        Path version = folder.resolve(VERSIONS).resolve(UUID.randomUUID().toString());
        try {
            Version wanted = listed;
            for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
                Linked file = cache.link(wanted.adapter(), fileIn(version, name), onProgress);
                Optional<Linked> card = linkCard(wanted, cardIn(version, name), name, onProgress);
                Version linked = new Version(file.version(), card.map(Linked::version));
                boolean fetched = file.fetched() || card.stream().anyMatch(Linked::fetched);
                // One of the two could have been published again while the other one was fetched.
                wanted = fetched ? RemoteAdapters.present(adapter) : linked;
                if (wanted.isSameAs(linked)) {
                    return local(name, version, linked, file, card);
                }
            }
            throw new IOException("the adapter or its card changes while it is read");
        } catch (IOException e) {
            delete(version, name);
            throw ArtifactErrors.coded("The adapter '%s'".formatted(name), adapter, ErrorCode.ADAPTER_NOT_FOUND, e);
        } catch (RuntimeException | Error e) {
            delete(version, name);
            throw e;
        }
    }

    private Optional<Linked> linkCard(Version wanted, Path target, String name, Runnable onProgress)
            throws IOException {
        if (wanted.card().isEmpty()) {
            Files.deleteIfExists(target);
            return Optional.empty();
        }
        RemoteFile card = wanted.card().get();
        if (card.byteSize() > AdapterCard.MOST_BYTES) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_INVALID,
                    "The card '%s' of the adapter '%s' has %d bytes, but at most %d are read; correct or remove it."
                            .formatted(card.uri(), name, card.byteSize(), AdapterCard.MOST_BYTES));
        }
        return Optional.of(cache.link(card, target, onProgress));
    }

    private static Local local(String name, Path version, Version linked, Linked file, Optional<Linked> card)
            throws IOException {
        List<String> digests = new ArrayList<>(List.of(file.digest()));
        card.ifPresent(linkedCard -> digests.add(linkedCard.digest()));
        return new Local(
                linked,
                version,
                AdapterFile.Stamp.of(fileIn(version, name)),
                card.isPresent() ? Optional.of(AdapterFile.Stamp.of(cardIn(version, name))) : Optional.empty(),
                digests);
    }

    /** From now on the version answers, unless its fetch was given up meanwhile. */
    private synchronized void publish(Entry entry, CompletableFuture<Void> fetch, Local linked) {
        if (closed || !entry.fetch.equals(Optional.of(fetch))) {
            delete(linked.folder(), entry.name);
            return;
        }
        Path link = folder.resolve("." + UUID.randomUUID());
        try {
            Files.createSymbolicLink(link, folder.relativize(fileIn(linked.folder(), entry.name)));
            Files.move(link, fileOf(entry.name), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            delete(linked.folder(), entry.name);
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The adapter '%s' was fetched, but cannot be put into '%s' (%s); check the disk of cache.dir."
                            .formatted(entry.name, folder, e),
                    e);
        }
        entry.local.ifPresent(before -> delete(before.folder(), entry.name));
        entry.local = Optional.of(linked);
        settle(entry, Optional.empty());
    }

    private synchronized void fail(Entry entry, CompletableFuture<Void> fetch, LlamafuException failure) {
        if (entry.fetch.equals(Optional.of(fetch))) {
            settle(entry, Optional.of(failure));
        }
        fetch.completeExceptionally(failure);
    }

    private void settle(Entry entry, Optional<LlamafuException> failure) {
        entry.fetch = Optional.empty();
        entry.failure = failure.map(reason -> new Failure(reason, System.nanoTime()));
        if (entry.remote.isEmpty()) {
            drop(entry);
        }
    }

    /** A listing that begins after this call. */
    private CompletableFuture<Void> nextListing(Store store) {
        if (store.nextListing.isEmpty()) {
            store.nextListing = Optional.of(new CompletableFuture<>());
            long wait = Math.max(0, store.lastListingNanos + PAUSE.toNanos() - System.nanoTime());
            ScheduledFuture<?> unused = timer.schedule(() -> queueListing(store), wait, TimeUnit.NANOSECONDS);
        }
        return store.nextListing.get();
    }

    private synchronized void queueListing(Store store) {
        if (!store.listingQueued && !closed) {
            store.listingQueued = true;
            Listing listing = new Listing();
            store.listers.execute(
                    onProgress -> list(store, listing),
                    () -> listed(
                            store,
                            listing,
                            Optional.empty(),
                            Optional.of(hangs("Listing " + store.adapters.described()))));
        }
    }

    /** On a thread of the store. */
    private void list(Store store, Listing listing) {
        synchronized (this) {
            store.listingQueued = false;
            listing.number = ++store.listings;
            listing.waiting = store.nextListing;
            store.nextListing = Optional.empty();
            store.lastListingNanos = System.nanoTime();
        }
        try {
            listed(store, listing, Optional.of(store.adapters.listAgain()), Optional.empty());
        } catch (LlamafuException e) {
            listed(store, listing, Optional.empty(), Optional.of(e));
        } catch (RuntimeException e) {
            LOG.error("Listing {} failed unexpectedly.", store.adapters.described(), e);
            listed(store, listing, Optional.empty(), Optional.of(reason(e)));
        }
    }

    /** Takes an outcome, unless it is that of a listing that was given up and is overtaken by another. */
    private void listed(
            Store store, Listing listing, Optional<Map<String, Version>> versions, Optional<LlamafuException> failure) {
        Optional<CompletableFuture<Void>> waiting;
        synchronized (this) {
            waiting = listing.waiting;
            if (listing.number == store.listings) {
                versions.ifPresent(found -> apply(store, found));
                setReachable(store, failure);
            }
        }
        waiting.ifPresent(
                future -> failure.ifPresentOrElse(future::completeExceptionally, () -> future.complete(null)));
    }

    private void setReachable(Store store, Optional<LlamafuException> failure) {
        if (store.reachable && failure.isPresent() && !closed) {
            LOG.warn(
                    "{} cannot be listed; adapters that are here go on answering.",
                    store.adapters.described(),
                    failure.get());
        } else if (!store.reachable && failure.isEmpty()) {
            LOG.info("{} can be listed again.", store.adapters.described());
        }
        store.reachable = failure.isEmpty();
    }

    /** Takes what a store has; a name in the folder that is another file's in adapters.files is not meant. */
    private synchronized void apply(Store store, Map<String, Version> listed) {
        Set<String> names = new HashSet<>(listed.keySet());
        entries.values().stream().filter(entry -> entry.store == store).forEach(entry -> names.add(entry.name));
        names.removeIf(name -> !storeOf(name).equals(Optional.of(store)));
        for (String name : names) {
            Entry entry = entries.computeIfAbsent(name, missing -> new Entry(missing, store));
            entry.remote = Optional.ofNullable(listed.get(name));
            if (entry.remote.isEmpty()) {
                if (entry.fetch.isEmpty()) {
                    drop(entry);
                }
            } else if (entry.local.isPresent() && !closed && !isUpToDate(entry)) {
                fetchNewVersion(entry);
            }
        }
    }

    private boolean isUpToDate(Entry entry) {
        return entry.remote.equals(entry.local.map(Local::version)) && isHere(entry);
    }

    private void fetchNewVersion(Entry entry) {
        boolean failedBefore = entry.failure.isPresent();
        CompletableFuture<Void> unused = fetch(entry).whenComplete((fetched, failure) -> {
            if (failure != null && !failedBefore) {
                LOG.warn("The new version of adapter {} cannot be fetched; the old one answers.", entry.name, failure);
            }
        });
    }

    /** Forgets an adapter, with its files. */
    private void drop(Entry entry) {
        entries.remove(entry.name);
        unlink(entry);
    }

    private void unlink(Entry entry) {
        Optional<Local> local = entry.local;
        entry.local = Optional.empty();
        try {
            Files.deleteIfExists(fileOf(entry.name));
        } catch (IOException e) {
            LOG.warn(
                    "The adapter {} was removed from {}, but not from {}.",
                    entry.name,
                    adapters.described(),
                    folder,
                    e);
        }
        local.ifPresent(files -> delete(files.folder(), entry.name));
    }

    private static void delete(Path version, String name) {
        try {
            Files.deleteIfExists(fileIn(version, name));
            Files.deleteIfExists(cardIn(version, name));
            Files.deleteIfExists(version);
        } catch (IOException e) {
            LOG.warn("{} could not be deleted; it keeps its contents in the cache until the job ends.", version, e);
        }
    }

    @Override
    public synchronized List<CacheRoom.IdleLink> idleLinks() {
        return entries.values().stream()
                .filter(AdapterMirror::isIdle)
                .map(entry -> idleLink(entry, entry.local.orElseThrow()))
                .toList();
    }

    private static boolean isIdle(Entry entry) {
        return entry.local.isPresent() && entry.uses == 0 && entry.fetch.isEmpty();
    }

    private CacheRoom.IdleLink idleLink(Entry entry, Local local) {
        return new CacheRoom.IdleLink() {
            @Override
            public List<String> digests() {
                return local.digests();
            }

            @Override
            public long lastUsedNanos() {
                return entry.lastUsedNanos;
            }

            @Override
            public boolean release() {
                synchronized (AdapterMirror.this) {
                    boolean still = isIdle(entry) && entry.local.equals(Optional.of(local));
                    if (still) {
                        unlink(entry);
                    }
                    return still;
                }
            }
        };
    }

    private LlamafuException notFound(String name) {
        List<String> names;
        synchronized (this) {
            names = entries.keySet().stream().filter(this::isListed).sorted().toList();
        }
        String known = names.isEmpty()
                ? adapters.folder()
                        .map(uri -> "the folder holds no NAME.gguf file")
                        .orElse("no file is there")
                : "it has " + String.join(", ", names.subList(0, Math.min(MOST_NAMES_IN_MESSAGE, names.size())));
        int more = names.size() - MOST_NAMES_IN_MESSAGE;
        return new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "There is no adapter '%s' in %s; %s%s."
                        .formatted(name, adapters.described(), known, more > 0 ? " and %d more".formatted(more) : ""));
    }

    private LlamafuException closedException() {
        return new LlamafuException(
                ErrorCode.ENGINE_CLOSED, "The adapters of %s are not used any more.".formatted(adapters.described()));
    }

    /** Stops listing and fetching; who waits gets an error. A remote call that hangs is left to its daemon thread. */
    @Override
    public void close() {
        List<CompletableFuture<Void>> waiting = new ArrayList<>();
        synchronized (this) {
            closed = true;
            stores.forEach(store -> store.nextListing.ifPresent(waiting::add));
            entries.values().forEach(entry -> entry.fetch.ifPresent(waiting::add));
        }
        cache.unregister(this);
        timer.shutdownNow();
        stores.forEach(store -> {
            store.listers.close();
            store.fetchers.close();
        });
        waiting.forEach(future -> future.completeExceptionally(closedException()));
    }

    /** The coded failure behind a failed future. */
    static LlamafuException reason(Throwable failure) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(ErrorCode.ENGINE_FAILED, "Bringing the adapters failed: " + cause, cause);
    }
}
