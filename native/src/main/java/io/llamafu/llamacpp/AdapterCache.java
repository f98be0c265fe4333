package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

import static java.util.Objects.requireNonNull;

/**
 * The adapters in memory, by digest. Names are resolved and files loaded by a thread of its own, so that neither a
 * caller nor the decode thread waits for a file. An adapter is counted while a {@link Lease} holds it and is never
 * evicted then; idle ones stay until the budget needs their bytes, the longest idle first. Thread-safe.
 */
final class AdapterCache implements AutoCloseable {
    private static final long CLOSE_SECONDS = 60;

    private final Optional<AdapterCatalog> catalog;
    private final Function<AdapterFile, LlamaAdapter> loader;
    private final Consumer<LlamaAdapter> evictor;
    private final long budget;
    private final ExecutorService loads;

    private final Map<String, Resident> residents = new HashMap<>();
    private long bytes;
    private long loaded;
    private long clock;

    private static final class Resident {
        private final String digest;
        private final LlamaAdapter adapter;
        private int leases;
        private long lastLeased;

        private Resident(String digest, LlamaAdapter adapter) {
            this.digest = digest;
            this.adapter = adapter;
        }
    }

    /** The adapters of one request, kept in memory until {@link #release()}. */
    final class Lease {
        private final List<ResolvedAdapter> resolved = new ArrayList<>();
        private final List<ScaledAdapter> scaled = new ArrayList<>();
        private final List<Resident> held = new ArrayList<>();

        private Lease() {}

        /** What answers: its equality tells whether two sequences compute the same. */
        List<ResolvedAdapter> resolved() {
            return resolved;
        }

        List<ScaledAdapter> scaled() {
            return scaled;
        }

        void release() {
            synchronized (AdapterCache.this) {
                held.forEach(resident -> resident.leases--);
                held.clear();
            }
        }

        private void add(Resident resident, String name, float scale) {
            resident.leases++;
            resident.lastLeased = ++clock;
            held.add(resident);
            resolved.add(new ResolvedAdapter(name, scale, resident.digest));
            scaled.add(new ScaledAdapter(resident.adapter, scale));
        }
    }

    /**
     * A cache without any adapter in it yet.
     *
     * @param catalog where names are looked up; empty if there are no adapters
     * @param loader validates and loads a file
     * @param evictor frees an adapter that nobody has a lease of
     * @param budget the most bytes of all adapters in memory; 0 is no limit
     */
    AdapterCache(
            Optional<AdapterCatalog> catalog,
            Function<AdapterFile, LlamaAdapter> loader,
            Consumer<LlamaAdapter> evictor,
            long budget) {
        this.catalog = requireNonNull(catalog, "catalog is null");
        this.loader = requireNonNull(loader, "loader is null");
        this.evictor = requireNonNull(evictor, "evictor is null");
        this.budget = budget;
        this.loads = Executors.newSingleThreadExecutor(task -> {
            Thread thread = new Thread(task, "llamafu-adapter-loader");
            thread.setDaemon(true);
            return thread;
        });
    }

    /** A lease of a stack; at once when all of it is in memory, else when the loader has brought it. */
    CompletableFuture<Lease> lease(AdapterStack stack) {
        if (stack.isBase()) {
            return CompletableFuture.completedFuture(new Lease());
        }
        Optional<Lease> atHand = leaseResidents(stack);
        if (atHand.isPresent()) {
            return CompletableFuture.completedFuture(atHand.get());
        }
        try {
            return CompletableFuture.supplyAsync(() -> resolveAndLease(stack), loads);
        } catch (RejectedExecutionException e) {
            return CompletableFuture.failedFuture(
                    new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed.", e));
        }
    }

    /** The lease, if every name was looked up a moment ago and its adapter is in memory. */
    private Optional<Lease> leaseResidents(AdapterStack stack) {
        if (catalog.isEmpty()) {
            return Optional.empty();
        }
        Lease lease = new Lease();
        for (AdapterStack.Entry entry : stack.entries()) {
            Optional<AdapterFile> file = catalog.get().known(entry.name());
            if (file.isEmpty() || !addResident(lease, file.get(), entry.scale())) {
                lease.release();
                return Optional.empty();
            }
        }
        return Optional.of(lease);
    }

    private synchronized boolean addResident(Lease lease, AdapterFile file, float scale) {
        Resident resident = residents.get(file.digest());
        if (resident == null) {
            return false;
        }
        lease.add(resident, file.name(), scale);
        return true;
    }

    private Lease resolveAndLease(AdapterStack stack) {
        AdapterCatalog names = catalog.orElseThrow(() -> new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "The stack '%s' names adapters, but the option 'adapters' names no folder to find them in."
                        .formatted(stack)));
        Lease lease = new Lease();
        try {
            for (AdapterStack.Entry entry : stack.entries()) {
                add(lease, names.resolve(entry.name()), entry.scale());
            }
            return lease;
        } catch (RuntimeException e) {
            lease.release();
            throw e;
        }
    }

    /** Runs on the loader thread only, so no file is loaded twice at a time. */
    private void add(Lease lease, AdapterFile file, float scale) {
        if (addResident(lease, file, scale)) {
            return;
        }
        makeRoom(file);
        LlamaAdapter adapter = loader.apply(file);
        synchronized (this) {
            Resident resident = new Resident(file.digest(), adapter);
            residents.put(file.digest(), resident);
            bytes += adapter.bytes();
            loaded++;
            lease.add(resident, file.name(), scale);
        }
    }

    private synchronized void makeRoom(AdapterFile file) {
        while (budget > 0 && bytes + file.byteSize() > budget) {
            Resident idlest = residents.values().stream()
                    .filter(resident -> resident.leases == 0)
                    .min(Comparator.comparingLong(resident -> resident.lastLeased))
                    .orElseThrow(() -> new LlamafuException(
                            ErrorCode.OUT_OF_MEMORY,
                            "Adapter '%s' needs %d bytes, but adapters.memory-budget is %d and %d of it are in use; raise it."
                                    .formatted(file.name(), file.byteSize(), budget, bytes)));
            residents.remove(idlest.digest);
            bytes -= idlest.adapter.bytes();
            evictor.accept(idlest.adapter);
        }
    }

    synchronized int residentCount() {
        return residents.size();
    }

    synchronized long residentBytes() {
        return bytes;
    }

    synchronized long loadCount() {
        return loaded;
    }

    /** Takes no more stacks, and waits until every lease that was asked for is given or refused. */
    void stop() throws InterruptedException {
        loads.shutdown();
        if (!loads.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS)) {
            throw new LlamafuException(
                    ErrorCode.ENGINE_FAILED,
                    "An adapter was still being loaded after %d seconds.".formatted(CLOSE_SECONDS));
        }
    }

    /** Frees every adapter, after {@link #stop} and when no context can use them any more. */
    @Override
    public synchronized void close() {
        residents.values().forEach(resident -> resident.adapter.close());
        residents.clear();
        bytes = 0;
    }
}
