package io.llamafu.flink.artifact;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterSource.Pinned;
import io.llamafu.adapter.AdapterSource.Version;
import io.llamafu.flink.artifact.ArtifactCache.Pin;
import io.llamafu.flink.artifact.RemoteFiles.RemoteVersion;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Remote adapters while an engine uses them. Each store is listed every refresh interval, and when a name is requested
 * that the last listing lacks. An adapter is fetched when it is first pinned; from then on a new version is fetched as
 * soon as a listing shows it, together with its card, and the old one answers until both have arrived. Each store has
 * its own threads, so that one that hangs does not delay the others. Thread-safe.
 */
@SuppressWarnings("CollectionUndefinedEquality") // identity comparison of futures is intended
final class RemoteSession implements AdapterSource.Session {
    private static final Logger LOG = LoggerFactory.getLogger(RemoteSession.class);

    private static final int FETCH_THREADS = 4;
    private static final int ATTEMPTS = 5;
    /** Between listings for unknown names, so that wrong records do not flood a store. */
    private static final Duration PAUSE = Duration.ofSeconds(1);

    private final RemoteAdapters adapters;
    private final AdapterSource.Session local;
    private final Shared<ArtifactCache.Settings, ArtifactCache>.Share cache;
    private final List<Store> stores;
    private final ScheduledThreadPoolExecutor timer =
            new ScheduledThreadPoolExecutor(1, DaemonThreads.named("llamafu-adapter-timer"));

    // all below guarded by this
    private final Map<String, Entry> entries = new HashMap<>();
    /** The first request of each version that is being fetched. */
    private final Map<RemoteVersion, CompletableFuture<Pinned>> fetching = new HashMap<>();
    /** Futures that callers wait for. */
    private final Set<CompletableFuture<?>> open = new HashSet<>();

    private boolean closed;

    /** An adapter of the last listing. */
    private static final class Entry {
        private RemoteVersion listed;
        /** The version in use, once one was fetched. */
        private Optional<RemoteVersion> fetched = Optional.empty();

        private boolean refreshing;
        private boolean refreshFailed;

        private Entry(RemoteVersion listed) {
            this.listed = listed;
        }

        private RemoteVersion answering() {
            return fetched.orElse(listed);
        }
    }

    /** A listing in progress. */
    private static final class Listing {
        // guarded by the session
        private Optional<CompletableFuture<Void>> waiting = Optional.empty();
        private long number;
    }

    /** The adapters of one store, and the calls to it. */
    private static final class Store {
        private final RemoteFiles files;
        private final StoreThreads listers;
        private final StoreThreads fetchers;

        // all below guarded by the session
        private Optional<CompletableFuture<Void>> nextListing = Optional.empty();
        private long lastListingNanos = System.nanoTime() - PAUSE.toNanos();
        private boolean listingQueued;
        private long listings;
        private boolean reachable = true;

        private Store(RemoteFiles files, Duration stalled) {
            this.files = files;
            this.listers = new StoreThreads("llamafu-adapter-listing", 1, stalled);
            this.fetchers = new StoreThreads("llamafu-adapter-fetch", FETCH_THREADS, stalled);
        }
    }

    private RemoteSession(RemoteAdapters adapters) {
        this.adapters = adapters;
        this.local = adapters.local().open();
        this.cache = ArtifactCache.shared(adapters.cache());
        this.stores = adapters.remote().byStore().stream()
                .map(part -> new Store(part, adapters.stalled()))
                .toList();
    }

    /**
     * Lists the adapters for the first time, and then regularly.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if there is no such folder or file system, or a
     *     name stands for two files, and {@link ErrorCode#ARTIFACT_UNAVAILABLE} if they cannot be read
     */
    static RemoteSession open(RemoteAdapters adapters) {
        RemoteSession session = new RemoteSession(adapters);
        try {
            session.requireOneFileForEachName(adapters.remote().files().keySet());
            session.repeat(PAUSE, session::giveUpHanging);
            session.listFirst();
            session.repeat(adapters.refreshInterval(), () -> session.stores.forEach(session::queueListing));
            return session;
        } catch (RuntimeException | Error e) {
            session.close();
            throw e;
        }
    }

    /** For a local folder; remote ones are checked by their listing. */
    private void requireOneFileForEachName(Set<String> remoteFiles) {
        remoteFiles.stream().filter(adapters.local()::contains).forEach(name -> {
            throw twoFiles(name, adapters.remote().files().get(name));
        });
    }

    private LlamafuException twoFiles(String name, Object file) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "The adapter '%s' is '%s' in adapters.files, and in %s too; take one of them away."
                        .formatted(name, file, adapters.described()));
    }

    private void repeat(Duration interval, Runnable action) {
        ScheduledFuture<?> unused = timer.scheduleWithFixedDelay(
                action, interval.toMillis(), Math.max(1, interval.toMillis()), TimeUnit.MILLISECONDS);
    }

    private void giveUpHanging() {
        stores.forEach(store -> {
            store.listers.giveUpHanging();
            store.fetchers.giveUpHanging();
        });
    }

    private void listFirst() {
        List<CompletableFuture<Void>> listings = new ArrayList<>();
        synchronized (this) {
            stores.forEach(store -> listings.add(nextListing(store)));
        }
        try {
            for (CompletableFuture<Void> listing : listings) {
                listing.get();
            }
        } catch (ExecutionException e) {
            throw unavailable(e, "Listing " + adapters.described());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The task was cancelled while %s was listed.".formatted(adapters.described()),
                    e);
        }
    }

    private static LlamafuException unavailable(Throwable failure, String what) {
        return LlamafuException.of(failure, ErrorCode.ARTIFACT_UNAVAILABLE, what + " failed");
    }

    @Override
    public List<String> names() {
        TreeSet<String> names = new TreeSet<>(local.names());
        synchronized (this) {
            names.addAll(entries.keySet());
        }
        return List.copyOf(names);
    }

    @Override
    public CompletableFuture<Optional<Version>> find(String name) {
        if (!adapters.isRemote(name)) {
            return local.find(name);
        }
        synchronized (this) {
            Optional<Store> store = storeOf(name);
            if (closed) {
                return CompletableFuture.failedFuture(LlamafuException.engineClosed());
            }
            return entries.containsKey(name) || store.isEmpty()
                    ? CompletableFuture.completedFuture(answering(name))
                    : nextListing(store.get()).thenApply(listed -> answering(name));
        }
    }

    private synchronized Optional<Version> answering(String name) {
        return Optional.ofNullable(entries.get(name)).map(Entry::answering);
    }

    /** The store of a name; empty if no store can have it. */
    private Optional<Store> storeOf(String name) {
        boolean named = adapters.remote().files().containsKey(name);
        return adapters.isRemote(name)
                ? stores.stream()
                        .filter(store -> named
                                ? store.files.files().containsKey(name)
                                : store.files.folder().isPresent())
                        .findFirst()
                : Optional.empty();
    }

    @Override
    public boolean holds(Version earlier, Version found) {
        boolean remote = earlier instanceof RemoteVersion || found instanceof RemoteVersion;
        return remote ? earlier.equals(found) : local.holds(earlier, found);
    }

    @Override
    public boolean isBeingOverwritten(Version version) {
        return !(version instanceof RemoteVersion) && local.isBeingOverwritten(version);
    }

    @Override
    public CompletableFuture<Pinned> pin(Version version) {
        return version instanceof RemoteVersion wanted ? pin(wanted) : local.pin(version);
    }

    /** One fetch serves all requests of a version: the others link the file from the cache, or share the failure. */
    private CompletableFuture<Pinned> pin(RemoteVersion wanted) {
        CompletableFuture<Pinned> pinned = opened();
        Optional<CompletableFuture<Pinned>> ahead;
        synchronized (this) {
            ahead = Optional.ofNullable(fetching.putIfAbsent(wanted, pinned));
        }
        if (ahead.isEmpty()) {
            Futures.whenComplete(pinned, (files, failure) -> {
                synchronized (this) {
                    fetching.remove(wanted, pinned);
                }
            });
            startFetch(wanted, pinned);
        } else {
            Futures.whenComplete(ahead.get(), (files, failure) -> {
                if (failure == null) {
                    startFetch(wanted, pinned);
                } else {
                    pinned.completeExceptionally(failure);
                }
            });
        }
        return pinned;
    }

    private void startFetch(RemoteVersion wanted, CompletableFuture<Pinned> pinned) {
        String what = "Fetching the adapter '%s' from %s".formatted(wanted.name(), adapters.described());
        try {
            storeOf(wanted.name())
                    .orElseThrow()
                    .fetchers
                    .execute(
                            onProgress -> fetch(wanted, onProgress, what, pinned),
                            () -> pinned.completeExceptionally(ArtifactErrors.hangs(what)));
        } catch (RejectedExecutionException e) {
            pinned.completeExceptionally(LlamafuException.engineClosed(e));
        } catch (RuntimeException | Error e) {
            pinned.completeExceptionally(unavailable(e, what));
        }
    }

    /** A future that fails when the session is closed. */
    private synchronized <T> CompletableFuture<T> opened() {
        CompletableFuture<T> future = new CompletableFuture<>();
        open.add(future);
        Futures.whenComplete(future, (value, failure) -> {
            synchronized (this) {
                open.remove(future);
            }
        });
        return future;
    }

    private void fetch(RemoteVersion wanted, Runnable onProgress, String what, CompletableFuture<Pinned> pinned) {
        try {
            Pinned files = fetchBoth(wanted, onProgress);
            fetched(wanted, (RemoteVersion) files.version());
            if (!pinned.complete(files)) {
                files.close();
            }
        } catch (RuntimeException | Error e) {
            pinned.completeExceptionally(unavailable(e, what));
        }
    }

    /** Fetches file and card of one version. */
    private Pinned fetchBoth(RemoteVersion listed, Runnable onProgress) {
        RemoteVersion wanted = listed;
        try {
            for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
                Pin file = cache.value().pin(wanted.adapter(), onProgress);
                Optional<Pin> card = Optional.empty();
                boolean kept = false;
                try {
                    card = pinCard(wanted, onProgress);
                    RemoteVersion here = new RemoteVersion(wanted.name(), file.version(), card.map(Pin::version));
                    boolean fetched = file.fetched() || card.stream().anyMatch(Pin::fetched);
                    // One of the two could have been replaced while the other was fetched.
                    wanted = fetched
                            ? RemoteFiles.present(
                                    wanted.name(), wanted.adapter().uri())
                            : here;
                    kept = wanted.isSameAs(here);
                    if (kept) {
                        return pinned(here, file, card);
                    }
                } finally {
                    if (!kept) {
                        release(file, card);
                    }
                }
            }
            throw new IOException("the adapter or its card changes while it is read");
        } catch (IOException e) {
            throw ArtifactErrors.coded(
                    "The adapter '%s'".formatted(wanted.name()),
                    wanted.adapter().uri(),
                    ErrorCode.ADAPTER_NOT_FOUND,
                    e);
        }
    }

    private Optional<Pin> pinCard(RemoteVersion wanted, Runnable onProgress) throws IOException {
        if (wanted.remoteCard().isEmpty()) {
            return Optional.empty();
        }
        RemoteFile card = wanted.remoteCard().get();
        if (card.byteSize() > AdapterCard.MOST_BYTES) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_INVALID,
                    "The card '%s' of the adapter '%s' has %d bytes, but at most %d are read; correct or remove it."
                            .formatted(card.uri(), wanted.name(), card.byteSize(), AdapterCard.MOST_BYTES));
        }
        return Optional.of(cache.value().pin(card, onProgress));
    }

    private static Pinned pinned(RemoteVersion version, Pin file, Optional<Pin> card) {
        return new Pinned(
                version,
                file.content(),
                card.map(Pin::content),
                Optional.of(file.digest()),
                "It was fetched from '%s'.".formatted(version.adapter().uri()),
                () -> release(file, card));
    }

    private static void release(Pin file, Optional<Pin> card) {
        file.close();
        card.ifPresent(Pin::close);
    }

    /** Puts this version into use, unless a listing shows a later one than the requested one. */
    private synchronized void fetched(RemoteVersion wanted, RemoteVersion version) {
        Entry entry = entries.get(version.name());
        if (entry != null
                && (entry.fetched.isEmpty() || entry.fetched.get().equals(wanted) || entry.listed.equals(version))) {
            entry.fetched = Optional.of(version);
        }
    }

    /** A listing that starts after this call. */
    private CompletableFuture<Void> nextListing(Store store) {
        if (store.nextListing.isEmpty()) {
            store.nextListing = Optional.of(opened());
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
                            Optional.of(ArtifactErrors.hangs("Listing " + store.files.described()))));
        }
    }

    /** Runs on a thread of the store. */
    private void list(Store store, Listing listing) {
        synchronized (this) {
            store.listingQueued = false;
            listing.number = ++store.listings;
            listing.waiting = store.nextListing;
            store.nextListing = Optional.empty();
            store.lastListingNanos = System.nanoTime();
        }
        try {
            Map<String, RemoteVersion> versions = listing.number == 1 ? listStrictly(store) : store.files.listAgain();
            listed(store, listing, Optional.of(versions), Optional.empty());
        } catch (RuntimeException | Error e) {
            listed(store, listing, Optional.empty(), Optional.of(unavailable(e, "Listing " + store.files.described())));
        }
    }

    private Map<String, RemoteVersion> listStrictly(Store store) {
        Map<String, RemoteVersion> versions = store.files.list();
        versions.keySet().stream()
                .filter(name -> !storeOf(name).equals(Optional.of(store)))
                .forEach(name -> {
                    Object file = adapters.remote().files().get(name);
                    throw twoFiles(name, file == null ? adapters.local().files().get(name) : file);
                });
        return versions;
    }

    /** Accepts a result, unless the listing was abandoned and overtaken by another one. */
    private void listed(
            Store store,
            Listing listing,
            Optional<Map<String, RemoteVersion>> versions,
            Optional<LlamafuException> failure) {
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
                    "{} cannot be listed; adapters already here keep answering.",
                    store.files.described(),
                    failure.get());
        } else if (!store.reachable && failure.isEmpty()) {
            LOG.info("{} can be listed again.", store.files.described());
        }
        store.reachable = failure.isEmpty();
    }

    /** Applies the adapters of a store; a name in the folder that is also in adapters.files is ignored. */
    private void apply(Store store, Map<String, RemoteVersion> listed) {
        entries.keySet().removeIf(name -> storeOf(name).equals(Optional.of(store)) && !listed.containsKey(name));
        listed.forEach((name, version) -> {
            if (storeOf(name).equals(Optional.of(store))) {
                Entry entry = entries.computeIfAbsent(name, missing -> new Entry(version));
                entry.listed = version;
                if (!closed
                        && !entry.refreshing
                        && entry.fetched.isPresent()
                        && !entry.fetched.get().equals(version)) {
                    refresh(entry);
                }
            }
        });
    }

    private void refresh(Entry entry) {
        entry.refreshing = true;
        Futures.whenComplete(pin(entry.listed), (pinned, failure) -> {
            if (failure == null) {
                pinned.close();
            }
            synchronized (this) {
                entry.refreshing = false;
                if (failure != null && !entry.refreshFailed && !closed) {
                    LOG.warn(
                            "The new version of adapter {} cannot be fetched; the old one answers.",
                            entry.listed.name(),
                            failure);
                }
                entry.refreshFailed = failure != null;
            }
        });
    }

    /** Stops listing and fetching. A hanging remote call is left to its daemon thread. */
    @Override
    public void close() {
        List<CompletableFuture<?>> waiting;
        synchronized (this) {
            closed = true;
            waiting = List.copyOf(open);
        }
        timer.shutdownNow();
        stores.forEach(store -> {
            store.listers.close();
            store.fetchers.close();
        });
        waiting.forEach(future -> future.completeExceptionally(LlamafuException.engineClosed()));
        local.close();
        cache.close();
    }

    @Override
    public String toString() {
        return adapters.described();
    }
}
