package io.llamafu.adapter;

import io.llamafu.Durations;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource.Pinned;
import io.llamafu.adapter.AdapterSource.Version;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

import static java.util.Objects.requireNonNull;

/**
 * Resolves the names of a stack to versions, without blocking the calling threads. Versions are cached for the refresh
 * interval; misses are never cached, so a new adapter is usable at once. A name that is requested several times at once
 * is looked up once. The file of each version is read once, for its digest and to check its weights. Thread-safe.
 */
public final class AdapterCatalog implements AutoCloseable {
    /** How long a lookup is cached. */
    public static final Duration DEFAULT_REFRESH_INTERVAL = Duration.ofSeconds(1);

    /** The pause before a failed fetch is tried again, so that records do not flood a store. */
    private static final Duration FAILURE_PAUSE = Duration.ofSeconds(1);

    private static final int MOST_NAMES_IN_MESSAGE = 10;
    private static final int MOST_READS = 10;

    private final AdapterSource.Session source;
    private final long refreshNanos;
    private final Threads threads;
    private final Consumer<String> onGone;
    private final LongSupplier nanoTime;
    private final RecentFailures failures;
    private final Map<String, Known> known = new ConcurrentHashMap<>();
    private final Map<String, LookUp> pending = new ConcurrentHashMap<>();
    private volatile Listed listed = new Listed(List.of(), Optional.empty());

    /**
     * Threads that wait for files.
     *
     * @param lookUps read attributes of files; a single thread is enough
     * @param readers read content
     * @param pause runs after each MiB read
     */
    public record Threads(Executor lookUps, Executor readers, Runnable pause) {
        public Threads {
            requireNonNull(lookUps, "lookUps is null");
            requireNonNull(readers, "readers is null");
            requireNonNull(pause, "pause is null");
        }
    }

    /** A version, and when its name was looked up. */
    private record Known(AdapterFile file, long nanos) {}

    /** For messages. */
    private record Listed(List<String> names, Optional<Long> nanos) {}

    private record OpenFile(AdapterFile file, Optional<Pinned> pin) {}

    /** The versions of a stack in its order; the needed files stay in place until it is closed. */
    public static final class OpenStack implements AutoCloseable {
        private final List<OpenFile> open;

        private OpenStack(List<OpenFile> open) {
            this.open = open;
        }

        public List<AdapterFile> files() {
            return open.stream().map(OpenFile::file).toList();
        }

        /** Does not throw. */
        @Override
        public void close() {
            open.forEach(file -> file.pin().ifPresent(Pinned::close));
        }
    }

    /**
     * A catalog.
     *
     * @param source closed with the catalog
     * @param refreshInterval how long a lookup is cached; 0 asks the source each time
     * @param onGone receives names that no longer have an adapter
     */
    public AdapterCatalog(
            AdapterSource.Session source, Duration refreshInterval, Threads threads, Consumer<String> onGone) {
        this(source, refreshInterval, threads, onGone, System::nanoTime);
    }

    /** @param nanoTime the clock of {@link System#nanoTime} */
    AdapterCatalog(
            AdapterSource.Session source,
            Duration refreshInterval,
            Threads threads,
            Consumer<String> onGone,
            LongSupplier nanoTime) {
        this.source = requireNonNull(source, "source is null");
        this.refreshNanos = Durations.countable(refreshInterval).toNanos();
        this.threads = requireNonNull(threads, "threads is null");
        this.onGone = requireNonNull(onGone, "onGone is null");
        this.nanoTime = requireNonNull(nanoTime, "nanoTime is null");
        this.failures = new RecentFailures(FAILURE_PAUSE, nanoTime);
    }

    /**
     * The version that a name now stands for.
     *
     * @return fails with {@link ErrorCode#INVALID_REQUEST} if the name is malformed, {@link
     *     ErrorCode#ADAPTER_NOT_FOUND} if there is no such adapter, {@link ErrorCode#ADAPTER_INVALID} if its file or
     *     card is invalid or keeps changing, {@link ErrorCode#ARTIFACT_UNAVAILABLE} if it cannot be fetched, and {@link
     *     ErrorCode#ENGINE_CLOSED}
     */
    public CompletableFuture<AdapterFile> resolve(String name) {
        requireNonNull(name, "name is null");
        Optional<AdapterFile> cached = cached(name);
        if (cached.isPresent()) {
            return CompletableFuture.completedFuture(cached.get());
        }
        try {
            AdapterName.check(name);
            failures.check(name);
        } catch (LlamafuException e) {
            return CompletableFuture.failedFuture(e);
        }
        LookUp lookUp = new LookUp(name);
        LookUp earlier = pending.putIfAbsent(name, lookUp);
        if (earlier == null) {
            lookUp.run(threads.lookUps(), lookUp::find);
        }
        // Cancelling the copy does not affect other callers of the lookup.
        return (earlier == null ? lookUp : earlier).answer.copy();
    }

    /**
     * Resolves a stack and pins the needed files.
     *
     * @param needed whether the file of a version is needed
     * @return fails like {@link #resolve}
     */
    public CompletableFuture<OpenStack> open(AdapterStack stack, Predicate<AdapterFile> needed) {
        List<CompletableFuture<OpenFile>> opening = stack.entries().stream()
                .map(entry -> open(entry.name(), needed, MOST_READS))
                .toList();
        return CompletableFuture.allOf(opening.toArray(CompletableFuture<?>[]::new))
                .handle((done, failure) -> {
                    OpenStack open = new OpenStack(opening.stream()
                            .filter(file -> !file.isCompletedExceptionally())
                            .map(CompletableFuture::join)
                            .toList());
                    if (failure != null) {
                        open.close();
                        throw LlamafuException.of(
                                failure, ErrorCode.ADAPTER_LOAD_FAILED, "An adapter could not be opened");
                    }
                    return open;
                });
    }

    private CompletableFuture<OpenFile> open(String name, Predicate<AdapterFile> needed, int attempts) {
        return resolve(name).thenCompose(file -> {
            if (!needed.test(file)) {
                return CompletableFuture.completedFuture(new OpenFile(file, Optional.empty()));
            }
            failures.check(name);
            CompletableFuture<Pinned> pinning =
                    source.pin(file.version()).whenComplete((pinned, failure) -> rememberFailure(name, failure));
            return pinning.thenCompose(pinned -> {
                Optional<AdapterFile> here = file.at(pinned);
                if (here.isPresent()) {
                    return CompletableFuture.completedFuture(new OpenFile(here.get(), Optional.of(pinned)));
                }
                pinned.close();
                recheck(file);
                return attempts > 1 ? open(name, needed, attempts - 1) : CompletableFuture.failedFuture(file.changed());
            });
        });
    }

    /** @param failure null if there is none */
    private void rememberFailure(String name, Throwable failure) {
        if (failure instanceof LlamafuException coded && coded.code() == ErrorCode.ARTIFACT_UNAVAILABLE) {
            failures.add(name, coded);
        }
    }

    /** A lookup in progress. Its steps run one after the other, on any thread. */
    private final class LookUp {
        private final String name;
        private final CompletableFuture<AdapterFile> answer = new CompletableFuture<>();
        private final long begun = nanoTime.getAsLong();
        private Optional<AdapterFile> read = Optional.empty();
        private int reads;

        private LookUp(String name) {
            this.name = name;
        }

        private void run(Executor executor, Runnable step) {
            try {
                executor.execute(() -> guarded(step));
            } catch (RejectedExecutionException e) {
                fail(LlamafuException.engineClosed(e));
            } catch (RuntimeException | Error e) {
                fail(e);
            }
        }

        private void guarded(Runnable step) {
            try {
                step.run();
            } catch (RuntimeException | Error e) {
                fail(e);
            }
        }

        private <T> void then(CompletableFuture<T> future, Consumer<T> next) {
            CompletableFuture<T> unused = future.whenComplete((value, failure) -> {
                if (failure == null) {
                    guarded(() -> next.accept(value));
                } else {
                    fail(failure);
                }
            });
        }

        private void find() {
            then(source.find(name), found -> {
                if (found.isPresent()) {
                    take(found.get());
                } else {
                    fail(notFound(name));
                }
            });
        }

        private void take(Version found) {
            Optional<AdapterFile> earlier = Optional.ofNullable(known.get(name)).map(Known::file);
            if (read.isPresent() && read.get().version().equals(found)) {
                finish(read.get());
            } else if (earlier.isPresent() && source.holds(earlier.get().version(), found)) {
                finish(earlier.get());
            } else if (++reads > MOST_READS) {
                fail(invalid(name, "changes while it is read; publish adapters by renaming a complete file.", null));
            } else {
                then(source.pin(found), pinned -> read(pinned, earlier));
            }
        }

        private void read(Pinned pinned, Optional<AdapterFile> earlier) {
            run(threads.readers(), () -> {
                try (pinned) {
                    // A stamp that changed meanwhile is not that of the version.
                    read = Optional.of(AdapterFile.read(pinned, read.or(() -> earlier), threads.pause()))
                            .filter(AdapterFile::isUnchanged);
                } catch (NoSuchFileException e) {
                    // Published again under another path, or removed.
                    read = Optional.empty();
                } catch (IOException e) {
                    throw invalid(name, "cannot be read: %s.".formatted(e.getMessage()), e);
                }
                // The content belongs to the version only if the file has not changed while it was read.
                find();
            });
            if (answer.isDone()) {
                // No reader accepted it.
                pinned.close();
            }
        }

        /** Removed first, so that a caller that reacts to the answer starts a new lookup. */
        private void finish(AdapterFile file) {
            known.put(name, new Known(file, begun));
            pending.remove(name, this);
            answer.complete(file);
        }

        /** Records can contain any name, so unknown ones must not take memory. */
        private void fail(Throwable cause) {
            LlamafuException failure =
                    LlamafuException.of(cause, ErrorCode.ADAPTER_LOAD_FAILED, "An adapter could not be looked up");
            known.remove(name);
            pending.remove(name, this);
            if (failure.code() == ErrorCode.ADAPTER_NOT_FOUND) {
                onGone.accept(name);
            }
            rememberFailure(name, failure);
            answer.completeExceptionally(failure);
        }
    }

    /** The version of a name, if it was looked up within the refresh interval. Does not wait. */
    public Optional<AdapterFile> cached(String name) {
        Known last = known.get(name);
        return last != null && nanoTime.getAsLong() - last.nanos() < refreshNanos
                ? Optional.of(last.file())
                : Optional.empty();
    }

    /** The versions of a stack in its order, if all are {@link #cached(String) cached}. */
    public Optional<List<AdapterFile>> cached(AdapterStack stack) {
        List<AdapterFile> files = stack.entries().stream()
                .flatMap(entry -> cached(entry.name()).stream())
                .toList();
        return files.size() == stack.entries().size() ? Optional.of(files) : Optional.empty();
    }

    /** The version that a name last resolved to, however long ago. Does not wait. */
    public Optional<AdapterFile> lastResolved(String name) {
        return Optional.ofNullable(known.get(name)).map(Known::file);
    }

    /** Makes the next lookup of this version's name ask the source, for a version whose file has changed. */
    public void recheck(AdapterFile file) {
        known.computeIfPresent(
                file.name(),
                (name, last) -> last.file().version().equals(file.version())
                        ? new Known(last.file(), nanoTime.getAsLong() - refreshNanos)
                        : last);
    }

    /**
     * Whether lookups of a name still return its last version although the file has changed: a file that is overwritten
     * in place is not used until it is unchanged for a while, and a renamed file with a reused inode looks the same.
     * Asks the file system.
     */
    public boolean isBeingOverwritten(String name) {
        return lastResolved(name)
                .map(AdapterFile::version)
                .filter(source::isBeingOverwritten)
                .isPresent();
    }

    /**
     * The names of all adapters in order. Lists a local folder, and reads no file.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if the folder cannot be read
     */
    public List<String> names() {
        return source.names();
    }

    /**
     * The known version of a name, without fetching it; empty if there is no such adapter.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if the name leads to something other than a
     *     regular file
     */
    public Optional<Version> peek(String name) {
        CompletableFuture<Optional<Version>> found = source.find(name);
        try {
            return found.getNow(Optional.empty());
        } catch (RuntimeException e) {
            throw LlamafuException.of(e, ErrorCode.ADAPTER_INVALID, "An adapter could not be looked up");
        }
    }

    private LlamafuException notFound(String name) {
        String described = source.toString();
        String message = described.isEmpty()
                ? "There is no adapter '%s': neither the option 'adapters' nor 'adapters.files' names any."
                        .formatted(name)
                : "There is no adapter '%s' in %s; %s.".formatted(name, described, knownNames());
        return new LlamafuException(ErrorCode.ADAPTER_NOT_FOUND, message);
    }

    /** Listed once per interval, so that a stream of unknown names does not list the folder each time. */
    private String knownNames() {
        Listed last = listed;
        long now = nanoTime.getAsLong();
        if (last.nanos().isEmpty() || now - last.nanos().get() >= refreshNanos) {
            last = new Listed(names(), Optional.of(now));
            listed = last;
        }
        List<String> names = last.names();
        if (names.isEmpty()) {
            return "it holds no NAME.gguf file";
        }
        String first = String.join(", ", names.subList(0, Math.min(MOST_NAMES_IN_MESSAGE, names.size())));
        int more = names.size() - MOST_NAMES_IN_MESSAGE;
        return "it has " + first + (more > 0 ? " and %d more".formatted(more) : "");
    }

    private LlamafuException invalid(String name, String problem, Throwable cause) {
        return new LlamafuException(
                ErrorCode.ADAPTER_INVALID, "The adapter '%s' in %s %s".formatted(name, source, problem), cause);
    }

    /** Fails lookups that wait for the source; reads in progress end with their threads. Does not throw. */
    @Override
    public void close() {
        source.close();
    }
}
