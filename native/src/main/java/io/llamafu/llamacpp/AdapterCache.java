package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.support.AdapterInventory.InMemory;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;

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
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Function;

import static java.util.Objects.requireNonNull;

/**
 * The way from a stack to the adapters in memory: its names are looked up by {@link AdapterNames}, {@link Residents} gives
 * room, two threads load what is missing, {@link FailedLoads} keeps a bad file from being tried for each record. Neither a
 * caller nor the decode thread waits for a file, and nobody waits for a file that is not his. Thread-safe.
 */
final class AdapterCache implements AutoCloseable {
    /** One can check a file while the other one waits for the disk; more would take the cores from decoding. */
    private static final int LOADERS = 2;
    /** How often a stack is looked up anew because a file of it was published again while it was loaded. */
    private static final int MOST_ATTEMPTS = 10;

    /** How long the memory of an adapter that was freed waits for another one, at least; twice that at most. */
    private static final int KEEP_MILLIS = 5_000;

    private static final long CLOSE_SECONDS = 60;

    private final AdapterCatalog catalog;
    private final Function<AdapterFile, LlamaAdapter> loader;
    private final BiConsumer<LlamaAdapter, Runnable> forgetter;
    private final ExecutorService lookups = threads(1, "llamafu-adapter-names", () -> {});
    private final ExecutorService loaders = threads(LOADERS, "llamafu-adapter-loader", LlamaCpp::lowerThreadPriority);
    /** To give back a large adapter takes the operating system milliseconds, which are not the decode thread's. */
    private final ScheduledExecutorService freer =
            Executors.newSingleThreadScheduledExecutor(factory("llamafu-adapter-freer", LlamaCpp::lowerThreadPriority));

    private final FailedLoads failedLoads = new FailedLoads(System::nanoTime);
    private final AdapterNames names;
    private final Residents residents;

    /** The file of a version was published again, or removed, before its weights were in memory. */
    private static final class ChangedMeanwhile extends RuntimeException {
        private static final long serialVersionUID = 1L;

        /** When it makes sense to look the name up anew. */
        private final Duration settles;

        private ChangedMeanwhile(LlamafuException cause, Duration settles) {
            super(cause);
            this.settles = settles;
        }
    }

    /** The adapters of one request, kept in memory until {@link #release()}. */
    final class Lease {
        private final List<ResolvedAdapter> resolved = new ArrayList<>();
        private final List<ScaledAdapter> scaled = new ArrayList<>();
        private List<Resident> held;

        private Lease(AdapterStack stack, List<AdapterFile> files, List<Resident> held) {
            this.held = held;
            for (int i = 0; i < files.size(); i++) {
                AdapterFile file = files.get(i);
                float scale = file.scaleOf(stack.entries().get(i));
                resolved.add(new ResolvedAdapter(file.name(), scale, file.digest()));
                scaled.add(new ScaledAdapter(held.get(i).adapter().join(), scale));
            }
        }

        /** What answers: its equality tells whether two sequences compute the same. */
        List<ResolvedAdapter> resolved() {
            return resolved;
        }

        List<ScaledAdapter> scaled() {
            return scaled;
        }

        /** Idempotent. */
        void release() {
            List<Resident> released;
            synchronized (this) {
                released = held;
                held = List.of();
            }
            if (!released.isEmpty()) {
                residents.release(released);
            }
        }
    }

    /**
     * A cache without any adapter in it yet.
     *
     * @param loader validates and loads a file
     * @param forgetter makes the context forget an adapter that nobody has a lease of, and then runs what it is given
     * @param giveWay runs between parts of a file that is read
     * @param budget the most bytes of all adapters in memory; 0 is no limit
     */
    AdapterCache(
            AdapterCatalog catalog,
            Function<AdapterFile, LlamaAdapter> loader,
            BiConsumer<LlamaAdapter, Runnable> forgetter,
            Runnable giveWay,
            long budget) {
        this.catalog = requireNonNull(catalog, "catalog is null");
        this.loader = requireNonNull(loader, "loader is null");
        this.forgetter = requireNonNull(forgetter, "forgetter is null");
        this.residents = new Residents(budget, this::startLoading, this::evict);
        this.names = new AdapterNames(catalog, lookups, loaders, giveWay, residents::nameGone);
        ScheduledFuture<?> unused = freer.scheduleWithFixedDelay(
                () -> LlamaCpp.releaseAdapterMemory(KEEP_MILLIS), KEEP_MILLIS, KEEP_MILLIS, TimeUnit.MILLISECONDS);
    }

    private static ExecutorService threads(int count, String name, Runnable first) {
        return Executors.newFixedThreadPool(count, factory(name, first));
    }

    private static ThreadFactory factory(String name, Runnable first) {
        return task -> {
            Thread thread = new Thread(
                    () -> {
                        first.run();
                        task.run();
                    },
                    name);
            thread.setDaemon(true);
            return thread;
        };
    }

    /**
     * A lease of a stack: at once when all of it is in memory, else when it has been loaded; it waits for room as long as
     * the future is not cancelled. Fails with a coded error.
     */
    CompletableFuture<Lease> lease(AdapterStack stack) {
        return lease(stack, true);
    }

    /** Loads a stack; fails if there is no room for it now. */
    CompletableFuture<List<ResolvedAdapter>> preload(AdapterStack stack) {
        CompletableFuture<List<ResolvedAdapter>> loaded = new CompletableFuture<>();
        CompletableFuture<Lease> unused = lease(stack, false).whenComplete((lease, failure) -> {
            if (failure == null) {
                lease.release();
                loaded.complete(List.copyOf(lease.resolved()));
            } else {
                loaded.completeExceptionally(failure);
            }
        });
        return loaded;
    }

    private CompletableFuture<Lease> lease(AdapterStack stack, boolean patient) {
        if (stack.isBase()) {
            return CompletableFuture.completedFuture(new Lease(stack, List.of(), List.of()));
        }
        Optional<List<AdapterFile>> known = names.known(stack);
        Optional<List<Resident>> atHand = known.flatMap(residents::leaseLoaded);
        if (atHand.isPresent()) {
            return CompletableFuture.completedFuture(new Lease(stack, known.get(), atHand.get()));
        }
        CompletableFuture<Lease> asked = new CompletableFuture<>();
        attempt(stack, patient, asked, 1);
        return asked;
    }

    private void attempt(AdapterStack stack, boolean patient, CompletableFuture<Lease> asked, int attempt) {
        CompletableFuture<Lease> unused = names.resolve(stack)
                .thenCompose(files -> leaseVersions(stack, files, patient, asked))
                .whenComplete((lease, failure) -> {
                    if (failure == null) {
                        if (!asked.complete(lease)) {
                            lease.release();
                        }
                    } else if (cause(failure) instanceof ChangedMeanwhile changed && attempt < MOST_ATTEMPTS) {
                        after(changed.settles, () -> attempt(stack, patient, asked, attempt + 1));
                    } else {
                        asked.completeExceptionally(coded(cause(failure)));
                    }
                });
    }

    private static void after(Duration delay, Runnable attempt) {
        if (delay.isZero()) {
            attempt.run();
        } else {
            CompletableFuture.delayedExecutor(delay.toNanos(), TimeUnit.NANOSECONDS, Runnable::run)
                    .execute(attempt);
        }
    }

    private CompletableFuture<Lease> leaseVersions(
            AdapterStack stack, List<AdapterFile> files, boolean patient, CompletableFuture<Lease> asked) {
        if (asked.isDone()) {
            throw new CancellationException("It is not asked for any more.");
        }
        files.forEach(failedLoads::check);
        CompletableFuture<List<Resident>> room = residents.lease(files, patient);
        CompletableFuture<Lease> unused = asked.whenComplete((lease, failure) -> room.cancel(false));
        return room.thenCompose(held -> allLoaded(held).handle((loaded, failure) -> {
            if (failure != null) {
                residents.release(held);
                throw new CompletionException(cause(failure));
            }
            return new Lease(stack, files, held);
        }));
    }

    private static CompletableFuture<Void> allLoaded(List<Resident> residents) {
        return CompletableFuture.allOf(residents.stream().map(Resident::adapter).toArray(CompletableFuture<?>[]::new));
    }

    private static Throwable cause(Throwable failure) {
        return failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
    }

    private static LlamafuException coded(Throwable failure) {
        Throwable cause = failure instanceof ChangedMeanwhile ? failure.getCause() : failure;
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(
                        ErrorCode.ADAPTER_LOAD_FAILED, "An adapter could not be loaded: " + cause, cause);
    }

    private void startLoading(Resident resident) {
        try {
            loaders.execute(() -> load(resident));
        } catch (RejectedExecutionException e) {
            residents.failed(
                    resident,
                    new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one.", e));
        }
    }

    private void load(Resident resident) {
        AdapterFile file = resident.file();
        try {
            LlamaAdapter adapter = loader.apply(file);
            if (file.isUnchanged()) {
                residents.loaded(resident, adapter);
            } else {
                adapter.close();
                failChanged(resident);
            }
        } catch (RuntimeException | Error e) {
            if (file.isUnchanged()) {
                failedLoads.add(file, coded(e));
                residents.failed(resident, coded(e));
            } else {
                failChanged(resident);
            }
        }
    }

    private void failChanged(Resident resident) {
        Duration settles = catalog.recheck(resident.file());
        residents.failed(resident, new ChangedMeanwhile(resident.file().changed(), settles));
    }

    private void evict(LlamaAdapter adapter, Runnable freed) {
        Runnable free = () -> {
            adapter.close();
            freed.run();
        };
        forgetter.accept(adapter, () -> {
            try {
                freer.execute(free);
            } catch (RejectedExecutionException e) {
                free.run(); // the engine is closing
            }
        });
    }

    /** See {@link Residents#unload}. */
    boolean unload(String name) {
        return residents.unload(name);
    }

    /** Frees the idle ones; returns how many. */
    int evictIdle() {
        return residents.evictIdle();
    }

    List<InMemory> inMemory() {
        return residents.describe(resident -> {
            LlamaAdapter adapter = resident.adapter().join();
            return new InMemory(resident.file(), adapter.info(), adapter.bytes(), resident.leases());
        });
    }

    int residentCount() {
        return residents.count();
    }

    /** What counts in the budget: adapters in memory, being loaded and being freed. */
    long residentBytes() {
        return residents.bytes();
    }

    long loadCount() {
        return residents.loadCount();
    }

    long evictionCount() {
        return residents.evictionCount();
    }

    long failureCount() {
        return residents.failureCount();
    }

    /**
     * Gives no more leases, and waits until nobody works on any. A stack that waits for its files to be still is refused
     * when it would be looked up again.
     */
    void stop() throws InterruptedException {
        residents.stop();
        lookups.shutdown();
        boolean stopped = lookups.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        loaders.shutdown();
        stopped &= loaders.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        freer.shutdown();
        stopped &= freer.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        if (!stopped) {
            throw new LlamafuException(
                    ErrorCode.ENGINE_FAILED,
                    "An adapter was still being loaded after %d seconds.".formatted(CLOSE_SECONDS));
        }
    }

    /** Frees every adapter, after {@link #stop} and when no context can use them any more. */
    @Override
    public void close() {
        residents.close();
    }
}
