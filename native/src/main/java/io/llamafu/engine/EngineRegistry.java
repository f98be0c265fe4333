package io.llamafu.engine;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterFile;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Predicate;
import java.util.function.ToLongFunction;

import static java.util.Objects.requireNonNull;

/**
 * The engines of {@link SharedEngines}. An entry stays while its engine is being closed, so that a request for it waits
 * instead of loading a second model. Thread-safe.
 */
final class EngineRegistry {
    private static final Logger LOG = LoggerFactory.getLogger(EngineRegistry.class);

    /** An engine that takes longer to close is opened beside. */
    private static final Duration CLOSE_PATIENCE = Duration.ofMinutes(5);

    private final Function<EngineOptions, EngineProvider> providers;
    private final LongSupplier availableBytes;
    private final AtomicLong opened = new AtomicLong();
    private final Map<Key, Entry> entries = new HashMap<>();

    /**
     * Of an engine.
     *
     * @param file of a model without a digest, what distinguishes it from another one that is put in its place
     */
    private record Key(EngineOptions options, Optional<AdapterFile.Stamp> file) {
        static Key of(EngineOptions options) {
            if (options.modelDigest().isPresent()) {
                return new Key(options, Optional.empty());
            }
            try {
                return new Key(options, Optional.of(AdapterFile.Stamp.of(options.model())));
            } catch (IOException e) {
                // Whoever opens the engine says why there is no model.
                return new Key(options, Optional.empty());
            }
        }
    }

    private static final class Entry {
        private final Key key;
        private final EngineOptions options;
        /** Held while the engine is opened or closed. */
        private final ReentrantLock lock = new ReentrantLock();
        // guarded by entries
        private int leases;
        private long generation;
        private long idleSince;
        /** Whether its idle timeout has ended, or another engine needs its memory. */
        private boolean expired;
        /** While it is opened. */
        private long expectedBytes;

        private long gpuBytes;
        /** Written under the lock. */
        private volatile InferenceEngine engine;

        private Entry(Key key) {
            this.key = key;
            this.options = key.options();
        }

        private boolean isIdle() {
            return leases == 0 && engine != null;
        }

        /** The bytes that it has, or will have once it is open. */
        private long bytes() {
            InferenceEngine open = engine;
            return open == null ? expectedBytes : open.metrics().memory().total();
        }

        private long hostBytes() {
            return Math.max(0, bytes() - gpuBytes);
        }

        /** With the adapters that it may still load. */
        private long mostHostBytes() {
            InferenceEngine open = engine;
            if (open == null) {
                return hostBytes();
            }
            EngineMetrics metrics = open.metrics();
            long missing = metrics.adapters().budget() - metrics.memory().adapters();
            return hostBytes() + Math.max(0, missing);
        }

        /** Logs a failure: the caller can do nothing about it. */
        private void closeEngine() {
            InferenceEngine closing = engine;
            try {
                if (closing != null) {
                    closing.close();
                }
            } catch (Throwable e) {
                LOG.error("The engine of {} could not be closed; its memory may stay in use.", options.model(), e);
            } finally {
                engine = null;
            }
        }
    }

    /**
     * No engine yet.
     *
     * @param providers the provider of an engine
     * @param availableBytes of host memory, for all engines together
     */
    EngineRegistry(Function<EngineOptions, EngineProvider> providers, LongSupplier availableBytes) {
        this.providers = requireNonNull(providers, "providers is null");
        this.availableBytes = requireNonNull(availableBytes, "availableBytes is null");
    }

    SharedEngines.Lease acquire(EngineOptions options) {
        Key key = Key.of(options);
        Entry entry;
        synchronized (entries) {
            entry = entries.computeIfAbsent(key, Entry::new);
            entry.leases++;
            entry.generation++;
            entry.expired = false;
            entries.notifyAll();
        }
        try {
            return lease(entry);
        } catch (InterruptedException e) {
            release(entry);
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ENGINE_CLOSED, "The task was cancelled while it waited for the engine to open.", e);
        } catch (RuntimeException | Error e) {
            release(entry);
            throw e;
        }
    }

    private SharedEngines.Lease lease(Entry entry) throws InterruptedException {
        entry.lock.lockInterruptibly();
        try {
            if (entry.engine != null && !entry.engine.isOpen()) {
                entry.closeEngine();
            }
            boolean opens = entry.engine == null;
            if (opens) {
                EngineProvider provider = providers.apply(entry.options);
                makeRoom(entry, provider.neededMemory(entry.options));
                entry.engine = provider.open(entry.options);
                opened.incrementAndGet();
            }
            return new SharedEngines.Lease(entry.engine, opens, () -> release(entry));
        } finally {
            synchronized (entries) {
                entry.expectedBytes = 0;
            }
            entry.lock.unlock();
        }
    }

    /** Closes idle engines, the longest idle first, while there is too little memory for the one being opened. */
    private void makeRoom(Entry opening, EngineProvider.NeededMemory needed) throws InterruptedException {
        synchronized (entries) {
            opening.expectedBytes = needed.total();
            opening.gpuBytes = needed.gpu();
            Optional<Entry> idle = longestIdle();
            while (idle.isPresent() && !fits(opening)) {
                LOG.info(
                        "The idle engine of {} is closed before its idle-timeout: {} needs the memory.",
                        idle.get().options.model(),
                        opening.options.model());
                if (!expire(idle.get())) {
                    return;
                }
                idle = longestIdle();
            }
        }
    }

    /**
     * Has an idle engine closed by the thread that waits for its timeout: this one may be interrupted while it waits.
     *
     * @return false if that takes too long
     */
    private boolean expire(Entry idle) throws InterruptedException {
        long deadline = System.nanoTime() + CLOSE_PATIENCE.toNanos();
        idle.expired = true;
        entries.notifyAll();
        while (idle.expired && idle.engine != null && System.nanoTime() < deadline) {
            TimeUnit.NANOSECONDS.timedWait(entries, deadline - System.nanoTime());
        }
        return !idle.expired || idle.engine == null;
    }

    private Optional<Entry> longestIdle() {
        return entries.values().stream().filter(Entry::isIdle).min(Comparator.comparingLong(entry -> entry.idleSince));
    }

    private boolean fits(Entry opening) {
        long budget = opening.options.memoryBudget();
        return sum(entry -> true, Entry::hostBytes) <= availableBytes.getAsLong()
                && (budget == 0 || opening.expectedBytes + sum(Entry::isIdle, Entry::bytes) <= budget);
    }

    /** The bytes that all engines but that of these options leave. */
    long bytesLeftFor(EngineOptions opening) {
        Key key = Key.of(opening);
        synchronized (entries) {
            return availableBytes.getAsLong() - sum(entry -> !entry.key.equals(key), Entry::mostHostBytes);
        }
    }

    private long sum(Predicate<Entry> which, ToLongFunction<Entry> bytes) {
        return entries.values().stream().filter(which).mapToLong(bytes).sum();
    }

    private void release(Entry entry) {
        synchronized (entries) {
            if (--entry.leases > 0) {
                return;
            }
            if (entry.engine == null) {
                entries.remove(entry.key, entry);
                return;
            }
            entry.idleSince = System.nanoTime();
            long generation = ++entry.generation;
            // A separate thread that ends with the timeout; a permanent one would keep the class loader alive.
            DaemonThreads.start("llamafu-idle-engine", () -> closeAfterTimeout(entry, generation));
        }
    }

    private void closeAfterTimeout(Entry entry, long generation) {
        try {
            synchronized (entries) {
                long deadline = System.nanoTime() + entry.options.idleTimeout().toNanos();
                long left = deadline - System.nanoTime();
                while (entry.generation == generation && !entry.expired && left > 0) {
                    TimeUnit.NANOSECONDS.timedWait(entries, left);
                    left = deadline - System.nanoTime();
                }
                if (entry.generation != generation) {
                    return;
                }
            }
            closeIfIdle(entry);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void closeIfIdle(Entry entry) {
        entry.lock.lock();
        try {
            synchronized (entries) {
                if (entry.leases > 0) {
                    return;
                }
                entry.generation++;
                entries.notifyAll();
            }
            entry.closeEngine();
        } finally {
            entry.lock.unlock();
        }
        synchronized (entries) {
            entries.notifyAll();
            // A caller that came while it was closed has a lease, and opens it again.
            if (entry.leases == 0 && entry.engine == null) {
                entries.remove(entry.key, entry);
            }
        }
    }

    /** Closes all, those in use too. */
    void closeAll() {
        List<Entry> all;
        synchronized (entries) {
            all = List.copyOf(entries.values());
            entries.clear();
            all.forEach(entry -> {
                entry.generation++;
                // Callers that wait for it to be closed hold the lock of their own entry.
                entry.expired = false;
            });
            entries.notifyAll();
        }
        for (Entry entry : all) {
            entry.lock.lock();
            try {
                entry.closeEngine();
            } finally {
                entry.lock.unlock();
            }
            synchronized (entries) {
                entries.notifyAll();
            }
        }
    }

    long openedCount() {
        return opened.get();
    }

    /** The memory of open engines now. */
    List<SharedEngines.Usage> usage() {
        synchronized (entries) {
            List<SharedEngines.Usage> usage = new ArrayList<>();
            for (Entry entry : entries.values()) {
                InferenceEngine engine = entry.engine;
                if (engine != null) {
                    usage.add(new SharedEngines.Usage(
                            entry.options, engine.metrics().memory()));
                }
            }
            return usage;
        }
    }
}
