package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.RemoteAdapters.Version;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Remote adapters, and a local folder that has those of their files that were asked for. Engines read the local folder as
 * if it were a folder of adapters itself.
 *
 * <p>A thread of its own lists the remote adapters on the refresh interval, and when a name is asked for that the last
 * listing lacks. An adapter is fetched when it is first asked for; afterwards a new version is fetched as soon as a
 * listing shows it, while the old one answers. Files that are gone remotely go locally.
 */
final class AdapterMirror implements Shared.Value, ArtifactCache.IdleLinks {
    private static final Logger LOG = LoggerFactory.getLogger(AdapterMirror.class);

    private static final int FETCH_THREADS = 4;
    private static final int MOST_NAMES_IN_MESSAGE = 10;
    /** Between listings for unknown names, and before a failed fetch is tried again: wrong records must not flood. */
    private static final Duration PAUSE = Duration.ofSeconds(1);

    private final RemoteAdapters adapters;
    private final Path folder;
    private final ArtifactCache cache;
    private final ScheduledThreadPoolExecutor lister;
    private final ThreadPoolExecutor fetchers;

    // all below guarded by this
    private final Map<String, Entry> entries = new HashMap<>();
    private Optional<CompletableFuture<Void>> nextListing = Optional.empty();
    private long lastListingNanos = System.nanoTime();
    private boolean reachable = true;
    private long clock;
    private boolean closed;

    /**
     * Which mirror.
     *
     * @param adapters where they are
     * @param cache where its files are kept
     * @param refreshInterval between listings
     */
    record Settings(RemoteAdapters adapters, ArtifactCache.Settings cache, Duration refreshInterval) {}

    private record Failure(LlamafuException reason, long nanos) {}

    private static final class Entry {
        private final String name;
        /** Empty once a listing lacks it. */
        private Optional<Version> remote = Optional.empty();
        /** Empty until it was fetched. */
        private Optional<Version> local = Optional.empty();

        private Optional<CompletableFuture<Void>> fetch = Optional.empty();
        private Optional<Failure> failure = Optional.empty();
        private int uses;
        private long lastUsed;

        private Entry(String name) {
            this.name = name;
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

    private AdapterMirror(RemoteAdapters adapters, Path folder, ArtifactCache cache) {
        this.adapters = adapters;
        this.folder = folder;
        this.cache = cache;
        this.lister = new ScheduledThreadPoolExecutor(1, daemons("llamafu-adapter-listing"));
        this.fetchers = new ThreadPoolExecutor(
                FETCH_THREADS,
                FETCH_THREADS,
                PAUSE.toMillis(),
                TimeUnit.MILLISECONDS,
                new LinkedBlockingQueue<>(),
                daemons("llamafu-adapter-fetch"));
        fetchers.allowCoreThreadTimeOut(true);
    }

    private static ThreadFactory daemons(String name) {
        return task -> {
            Thread thread = new Thread(task, name);
            thread.setDaemon(true);
            return thread;
        };
    }

    /**
     * Lists the remote adapters for the first time, on this thread, and goes on listing them.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if there is no such folder or file system, or a name
     *     stands for two files, and {@link ErrorCode#ARTIFACT_UNAVAILABLE} if they cannot be read
     */
    static AdapterMirror open(Settings settings, ArtifactCache cache) {
        Map<String, Version> versions = settings.adapters().list();
        AdapterMirror mirror = new AdapterMirror(settings.adapters(), linkFolder(settings, cache), cache);
        mirror.apply(versions);
        cache.register(mirror);
        long millis = Math.max(1, settings.refreshInterval().toMillis());
        ScheduledFuture<?> unused =
                mirror.lister.scheduleWithFixedDelay(mirror::list, millis, millis, TimeUnit.MILLISECONDS);
        return mirror;
    }

    private static Path linkFolder(Settings settings, ArtifactCache cache) {
        try {
            // The interval is in the name because engines with different ones must not share a folder.
            return cache.linkFolder("adapters-" + Sha256.of(settings.adapters() + " " + settings.refreshInterval()));
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

    private Path cardOf(String name) {
        return folder.resolve(name + RemoteAdapters.CARD_SUFFIX);
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
        return closed || names.stream().allMatch(this::isListed)
                ? useListed(names)
                : nextListing().thenCompose(listed -> useListed(names));
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
            entry.lastUsed = ++clock;
            if (entry.local.isEmpty()) {
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
        fetchers.execute(() -> fetchNow(entry, fetch));
        return fetch;
    }

    private void fetchNow(Entry entry, CompletableFuture<Void> fetch) {
        Optional<Version> wanted;
        synchronized (this) {
            wanted = entry.remote;
        }
        try {
            Version linked = link(entry.name, wanted.orElseThrow(() -> notFound(entry.name)));
            settle(entry, Optional.of(linked), Optional.empty());
            fetch.complete(null);
        } catch (LlamafuException e) {
            settle(entry, Optional.empty(), Optional.of(e));
            fetch.completeExceptionally(e);
        } catch (RuntimeException | Error e) {
            LlamafuException failure = new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "Fetching the adapter '%s' from %s failed: %s.".formatted(entry.name, adapters.described(), e),
                    e);
            settle(entry, Optional.empty(), Optional.of(failure));
            fetch.completeExceptionally(failure);
        }
    }

    private Version link(String name, Version wanted) {
        URI adapter = wanted.adapter().uri();
        try {
            // The card first: who sees the adapter sees what belongs to it.
            Optional<RemoteFile> card = Optional.empty();
            if (wanted.card().isPresent()) {
                card = Optional.of(
                        cache.link(wanted.card().get().uri(), cardOf(name)).version());
            } else {
                Files.deleteIfExists(cardOf(name));
            }
            return new Version(cache.link(adapter, fileOf(name)).version(), card);
        } catch (IOException e) {
            throw ArtifactErrors.coded("The adapter '%s'".formatted(name), adapter, ErrorCode.ADAPTER_NOT_FOUND, e);
        }
    }

    private synchronized void settle(Entry entry, Optional<Version> linked, Optional<LlamafuException> failure) {
        entry.fetch = Optional.empty();
        entry.failure = failure.map(reason -> new Failure(reason, System.nanoTime()));
        if (linked.isPresent()) {
            entry.local = linked;
        }
        if (entry.remote.isEmpty()) {
            drop(entry);
        }
    }

    /** A listing that begins after this call. */
    private CompletableFuture<Void> nextListing() {
        if (nextListing.isEmpty()) {
            nextListing = Optional.of(new CompletableFuture<>());
            long wait = Math.max(0, lastListingNanos + PAUSE.toNanos() - System.nanoTime());
            ScheduledFuture<?> unused = lister.schedule(this::list, wait, TimeUnit.NANOSECONDS);
        }
        return nextListing.get();
    }

    /** On the lister's thread. */
    private void list() {
        Optional<CompletableFuture<Void>> waiting;
        synchronized (this) {
            waiting = nextListing;
            nextListing = Optional.empty();
            lastListingNanos = System.nanoTime();
        }
        try {
            apply(adapters.listAgain());
            setReachable(true, null);
            waiting.ifPresent(listing -> listing.complete(null));
        } catch (LlamafuException e) {
            setReachable(false, e);
            waiting.ifPresent(listing -> listing.completeExceptionally(e));
        } catch (RuntimeException e) {
            // The schedule would end silently.
            LOG.error("Listing {} failed unexpectedly.", adapters.described(), e);
            waiting.ifPresent(listing -> listing.completeExceptionally(e));
        }
    }

    private synchronized void setReachable(boolean nowReachable, Exception failure) {
        if (reachable && !nowReachable && !closed) {
            LOG.warn("{} cannot be listed; adapters that are here go on answering.", adapters.described(), failure);
        } else if (!reachable && nowReachable) {
            LOG.info("{} can be listed again.", adapters.described());
        }
        reachable = nowReachable;
    }

    private synchronized void apply(Map<String, Version> listed) {
        Set<String> names = new HashSet<>(listed.keySet());
        names.addAll(entries.keySet());
        for (String name : names) {
            Entry entry = entries.computeIfAbsent(name, Entry::new);
            entry.remote = Optional.ofNullable(listed.get(name));
            if (entry.remote.isEmpty()) {
                if (entry.fetch.isEmpty()) {
                    drop(entry);
                }
            } else if (entry.local.isPresent() && !entry.local.equals(entry.remote) && !closed) {
                fetchNewVersion(entry);
            }
        }
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
        entry.local = Optional.empty();
        try {
            Files.deleteIfExists(fileOf(entry.name));
            Files.deleteIfExists(cardOf(entry.name));
        } catch (IOException e) {
            LOG.warn(
                    "The adapter {} was removed from {}, but not from {}.",
                    entry.name,
                    adapters.described(),
                    folder,
                    e);
        }
    }

    @Override
    public synchronized boolean releaseOldest() {
        Optional<Entry> oldest = entries.values().stream()
                .filter(entry -> entry.local.isPresent() && entry.uses == 0 && entry.fetch.isEmpty())
                .min((one, other) -> Long.compare(one.lastUsed, other.lastUsed));
        oldest.ifPresent(this::unlink);
        return oldest.isPresent();
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
            nextListing.ifPresent(waiting::add);
            entries.values().forEach(entry -> entry.fetch.ifPresent(waiting::add));
        }
        cache.unregister(this);
        lister.shutdownNow();
        fetchers.shutdownNow();
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
