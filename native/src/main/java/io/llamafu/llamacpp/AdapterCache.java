package io.llamafu.llamacpp;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.RecentFailures;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.support.AdapterInventory.InMemory;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Function;

import static java.util.Objects.requireNonNull;

/**
 * Turns a stack into adapters in memory: the {@link AdapterCatalog} finds and pins the files, {@link AdapterMemory}
 * provides room, two threads load missing adapters, and {@link RecentFailures} keeps a bad file from being tried for
 * each record. Neither a caller nor the decode thread waits for a file, and a request waits only for the files of its
 * own stack. Thread-safe.
 */
final class AdapterCache implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(AdapterCache.class);
    /** One can checksum a file while the other waits for the disk; more would take cores from decoding. */
    private static final int LOADERS = 2;
    /** How often a file of a stack may be replaced while it is loaded. */
    private static final int MOST_CHANGES = 10;
    /** How long a stack waits for files that are being overwritten in place. */
    private static final long MOST_NANOS_OVERWRITTEN = TimeUnit.MINUTES.toNanos(1);
    /** The interval at which it checks whether they are unchanged. */
    private static final long LOOK_MILLIS = 500;

    /** How long the memory of a freed adapter is kept for another one. */
    private static final int KEEP_MILLIS = 5_000;

    private static final long CLOSE_SECONDS = 60;
    /** How long a version that could not be loaded is not tried again. */
    static final Duration FAILURE_PAUSE = Duration.ofSeconds(10);

    private final AdapterCatalog catalog;
    private final Function<AdapterFile, LlamaAdapter> loader;
    private final BiConsumer<LlamaAdapter, Runnable> forgetter;
    private final ScheduledThreadPoolExecutor lookups = thread("llamafu-adapter-names", () -> {});
    private final ExecutorService loaders =
            Executors.newFixedThreadPool(LOADERS, factory("llamafu-adapter-loader", LlamaCpp::lowerThreadPriority));
    /** Returning a large adapter to the operating system takes milliseconds, which the decode thread must not spend. */
    private final ScheduledThreadPoolExecutor freer = thread("llamafu-adapter-freer", LlamaCpp::lowerThreadPriority);

    private final RecentFailures failedLoads = new RecentFailures(FAILURE_PAUSE, System::nanoTime);
    private final AdapterMemory memory;

    /** The file of a version was replaced or removed before its weights were in memory. */
    private static final class ChangedMeanwhile extends RuntimeException {
        private static final long serialVersionUID = 1L;

        private ChangedMeanwhile(LlamafuException cause) {
            super(cause);
        }
    }

    /** Is notified when a request starts and stops waiting for others to release room. */
    interface Turn {
        Turn NONE = new Turn() {
            @Override
            public void waits() {}

            @Override
            public void proceeds() {}
        };

        void waits();

        void proceeds();
    }

    /**
     * A requested stack.
     *
     * @param patient whether it may wait for leases of others to end
     * @param turn notified of that wait
     * @param since when it was requested, as in {@link System#nanoTime}
     * @param changes how often a file was replaced before it was in memory
     * @param again whether it was looked up before
     */
    private record Asked(
            AdapterStack stack,
            boolean patient,
            Turn turn,
            CompletableFuture<Lease> lease,
            long since,
            int changes,
            boolean again) {
        private Asked afterChange() {
            return new Asked(stack, patient, turn, lease, since, changes + 1, true);
        }

        private Asked afterWait() {
            return new Asked(stack, patient, turn, lease, since, changes, true);
        }
    }

    /** The adapters of one request, which stay in memory until {@link #release()}. */
    final class Lease {
        private final List<AppliedAdapter> resolved = new ArrayList<>();
        private final List<ScaledAdapter> scaled = new ArrayList<>();
        private List<ResidentAdapter> held;

        private Lease(AdapterStack stack, List<AdapterFile> files, List<ResidentAdapter> held) {
            this.held = held;
            for (int i = 0; i < files.size(); i++) {
                AdapterFile file = files.get(i);
                float scale = file.scaleOf(stack.entries().get(i));
                resolved.add(new AppliedAdapter(file.name(), scale, file.digest()));
                scaled.add(new ScaledAdapter(held.get(i).adapter().join(), scale));
            }
        }

        /** The adapters that answer; two sequences compute the same only if these are equal. */
        List<AppliedAdapter> resolved() {
            return resolved;
        }

        List<ScaledAdapter> scaled() {
            return scaled;
        }

        /** Where they change a prompt. */
        AdapterSpans spans(int[] prompt) {
            List<List<Integer>> invocations = scaled.stream()
                    .map(one -> one.adapter().info().invocationTokens())
                    .toList();
            return AdapterSpans.of(resolved, invocations, prompt);
        }

        /** Idempotent. */
        void release() {
            List<ResidentAdapter> released;
            synchronized (this) {
                released = held;
                held = List.of();
            }
            if (!released.isEmpty()) {
                memory.release(released);
            }
        }
    }

    /**
     * An empty cache.
     *
     * @param source closed with the cache
     * @param refreshInterval how long a lookup is cached
     * @param loader validates and loads a file
     * @param forgetter makes the context forget an adapter without leases, and then runs the callback
     * @param giveWay runs between parts of a file that is read
     * @param budget the most bytes of all adapters in memory; 0 is no limit
     */
    AdapterCache(
            AdapterSource.Session source,
            Duration refreshInterval,
            Function<AdapterFile, LlamaAdapter> loader,
            BiConsumer<LlamaAdapter, Runnable> forgetter,
            Runnable giveWay,
            long budget) {
        this.loader = requireNonNull(loader, "loader is null");
        this.forgetter = requireNonNull(forgetter, "forgetter is null");
        this.memory = new AdapterMemory(budget, this::startLoading, this::evict);
        this.catalog = new AdapterCatalog(
                source, refreshInterval, new AdapterCatalog.Threads(lookups, loaders, giveWay), memory::nameGone);
        freer.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    private static ScheduledThreadPoolExecutor thread(String name, Runnable first) {
        return new ScheduledThreadPoolExecutor(1, factory(name, first));
    }

    private static ThreadFactory factory(String name, Runnable first) {
        ThreadFactory daemons = DaemonThreads.named(name);
        return task -> daemons.newThread(() -> {
            first.run();
            task.run();
        });
    }

    /**
     * A lease of a stack: at once if all of it is in memory, else when it has been loaded. It waits for room until the
     * future is cancelled. Fails with a coded error.
     */
    CompletableFuture<Lease> lease(AdapterStack stack, Turn turn) {
        return lease(stack, true, turn);
    }

    /** Loads a stack; fails if there is no room for it now. */
    CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        CompletableFuture<List<AppliedAdapter>> loaded = new CompletableFuture<>();
        Futures.whenComplete(lease(stack, false, Turn.NONE), (lease, failure) -> {
            if (failure == null) {
                lease.release();
                loaded.complete(List.copyOf(lease.resolved()));
            } else {
                loaded.completeExceptionally(failure);
            }
        });
        return loaded;
    }

    private CompletableFuture<Lease> lease(AdapterStack stack, boolean patient, Turn turn) {
        if (stack.isBase()) {
            return CompletableFuture.completedFuture(new Lease(stack, List.of(), List.of()));
        }
        Optional<List<AdapterFile>> known = catalog.cached(stack);
        Optional<List<ResidentAdapter>> atHand = known.flatMap(memory::leaseLoaded);
        if (atHand.isPresent()) {
            return CompletableFuture.completedFuture(new Lease(stack, known.get(), atHand.get()));
        }
        CompletableFuture<Lease> lease = new CompletableFuture<>();
        attempt(new Asked(stack, patient, turn, lease, System.nanoTime(), 0, false));
        return lease;
    }

    private void attempt(Asked asked) {
        CompletableFuture<Lease> leased = catalog.open(asked.stack(), file -> !memory.isLoaded(file))
                .thenCompose(open -> leaseOpened(asked, open));
        Futures.whenComplete(leased, (lease, failure) -> {
            if (failure == null) {
                if (!asked.lease().complete(lease)) {
                    lease.release();
                }
            } else if (cause(failure) instanceof ChangedMeanwhile changed) {
                attemptAgain(asked, changed);
            } else {
                asked.lease().completeExceptionally(coded(cause(failure)));
            }
        });
    }

    private void attemptAgain(Asked asked, ChangedMeanwhile changed) {
        boolean overwritten =
                asked.stack().entries().stream().anyMatch(entry -> catalog.isBeingOverwritten(entry.name()));
        try {
            if (overwritten && System.nanoTime() - asked.since() < MOST_NANOS_OVERWRITTEN) {
                ScheduledFuture<?> unused =
                        lookups.schedule(() -> attempt(asked.afterWait()), LOOK_MILLIS, TimeUnit.MILLISECONDS);
            } else if (!overwritten && asked.changes() < MOST_CHANGES) {
                attempt(asked.afterChange());
            } else {
                asked.lease().completeExceptionally(coded(changed));
            }
        } catch (RejectedExecutionException e) {
            asked.lease().completeExceptionally(LlamafuException.engineClosed(e));
        }
    }

    private CompletableFuture<Lease> leaseOpened(Asked asked, AdapterCatalog.OpenStack open) {
        try {
            return leaseVersions(asked, open.files()).whenComplete((lease, failure) -> open.close());
        } catch (RuntimeException | Error e) {
            open.close();
            throw e;
        }
    }

    private CompletableFuture<Lease> leaseVersions(Asked asked, List<AdapterFile> files) {
        if (asked.lease().isDone()) {
            throw new CancellationException("It is not asked for any more.");
        }
        files.forEach(file -> failedLoads.check(file.digest()));
        if (asked.again()) {
            requireLoadable(files);
        }
        asked.turn().waits();
        CompletableFuture<List<ResidentAdapter>> room = memory.lease(files, asked.patient());
        Futures.whenComplete(asked.lease(), (lease, failure) -> room.cancel(false));
        return room.thenCompose(held -> {
            asked.turn().proceeds();
            return allLoaded(held).handle((loaded, failure) -> {
                if (failure != null) {
                    memory.release(held);
                    throw new CompletionException(cause(failure));
                }
                return new Lease(asked.stack(), files, held);
            });
        });
    }

    /** An adapter that cannot be loaded now must not take room from others. */
    private void requireLoadable(List<AdapterFile> files) {
        for (AdapterFile file : files) {
            if (!memory.isLoaded(file) && !file.isUnchanged()) {
                throw new ChangedMeanwhile(file.changed());
            }
        }
    }

    private static CompletableFuture<Void> allLoaded(List<ResidentAdapter> held) {
        return CompletableFuture.allOf(
                held.stream().map(ResidentAdapter::adapter).toArray(CompletableFuture<?>[]::new));
    }

    private static Throwable cause(Throwable failure) {
        return failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
    }

    private static LlamafuException coded(Throwable failure) {
        Throwable cause = failure instanceof ChangedMeanwhile ? failure.getCause() : failure;
        return LlamafuException.of(cause, ErrorCode.ADAPTER_LOAD_FAILED, "An adapter could not be loaded");
    }

    private void startLoading(ResidentAdapter resident) {
        try {
            loaders.execute(() -> load(resident));
        } catch (RejectedExecutionException e) {
            memory.failed(resident, LlamafuException.engineClosed(e));
        } catch (RuntimeException | Error e) {
            memory.failed(resident, coded(e));
        }
    }

    private void load(ResidentAdapter resident) {
        AdapterFile file = resident.file();
        try {
            LlamaAdapter adapter = loader.apply(file);
            if (file.isUnchanged()) {
                memory.loaded(resident, adapter);
            } else {
                adapter.close();
                failChanged(resident);
            }
        } catch (RuntimeException | Error e) {
            if (file.isUnchanged()) {
                LlamafuException failure = file.explain(coded(e));
                failedLoads.add(file.digest(), failure);
                memory.failed(resident, failure);
            } else {
                failChanged(resident);
            }
        }
    }

    private void failChanged(ResidentAdapter resident) {
        catalog.recheck(resident.file());
        memory.failed(resident, new ChangedMeanwhile(resident.file().changed()));
    }

    private void evict(LlamaAdapter adapter, Runnable freed) {
        forgetter.accept(adapter, () -> {
            try {
                freer.execute(() -> free(adapter, freed));
            } catch (RejectedExecutionException e) {
                free(adapter, freed); // the engine is closing
            }
        });
    }

    private void free(LlamaAdapter adapter, Runnable freed) {
        try {
            adapter.close();
            ScheduledFuture<?> unused = freer.schedule(
                    () -> LlamaCpp.releaseAdapterMemory(KEEP_MILLIS), KEEP_MILLIS, TimeUnit.MILLISECONDS);
        } catch (RejectedExecutionException e) {
            LOG.debug("The engine is closing, which gives back all memory.");
        } catch (RuntimeException e) {
            LOG.error("An adapter could not be freed.", e);
        } finally {
            freed.run();
        }
    }

    AdapterCatalog catalog() {
        return catalog;
    }

    /** See {@link AdapterMemory#unload}. */
    boolean unload(String name) {
        return memory.unload(name);
    }

    /** Frees the idle adapters; returns their number. */
    int evictIdle() {
        return memory.evictIdle();
    }

    List<InMemory> inMemory() {
        return memory.describe(resident -> {
            LlamaAdapter adapter = resident.adapter().join();
            return new InMemory(resident.file(), adapter.info(), adapter.bytes(), resident.leases());
        });
    }

    int residentCount() {
        return memory.count();
    }

    /** The bytes that count against the budget: adapters in memory, being loaded and being freed. */
    long residentBytes() {
        return memory.bytes();
    }

    /** The most bytes; 0 is no limit. */
    long budget() {
        return memory.budget();
    }

    long loadCount() {
        return memory.loadCount();
    }

    long evictionCount() {
        return memory.evictionCount();
    }

    long failureCount() {
        return memory.failureCount();
    }

    /** Accepts no more stacks, and waits until every requested lease is granted or refused. */
    void stop() {
        catalog.close();
        memory.stop();
        List<ExecutorService> threads = List.of(lookups, loaders, freer);
        try {
            boolean stopped = true;
            for (ExecutorService each : threads) {
                each.shutdown();
                stopped &= UninterruptedWait.await(
                        Duration.ofSeconds(CLOSE_SECONDS), nanos -> each.awaitTermination(nanos, TimeUnit.NANOSECONDS));
            }
            if (!stopped) {
                throw new LlamafuException(
                        ErrorCode.ENGINE_FAILED,
                        "An adapter was still being loaded after %d seconds.".formatted(CLOSE_SECONDS));
            }
        } finally {
            threads.forEach(ExecutorService::shutdown);
        }
    }

    /** Frees every adapter; only after {@link #stop}, when no context can use them any more. */
    @Override
    public void close() {
        memory.close();
    }
}
