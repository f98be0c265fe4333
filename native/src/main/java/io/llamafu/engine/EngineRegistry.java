package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.LongSupplier;

import static java.util.Objects.requireNonNull;

/**
 * The engines of {@link SharedEngines}. An entry stays while its engine is being closed, so that whoever asks for it
 * meanwhile waits instead of loading a second model. Thread-safe.
 */
final class EngineRegistry {
    private static final Logger LOG = LoggerFactory.getLogger(EngineRegistry.class);
    private static final Comparator<Entry> LONGEST_IDLE_FIRST = Comparator.comparingLong(entry -> entry.idleSince);

    private final Function<EngineOptions, EngineProvider> providers;
    private final LongSupplier availableBytes;
    private final AtomicLong opened = new AtomicLong();
    private final Map<EngineOptions, Entry> entries = new HashMap<>();

    private static final class Entry {
        private final EngineOptions options;
        /** Held while the engine is opened or closed. Whoever holds it may wait for the one of an idle entry only. */
        private final ReentrantLock lock = new ReentrantLock();
        // guarded by entries
        private int leases;
        private long generation;
        private long idleSince;
        private long expectedBytes;
        /** Written under the lock. */
        private volatile InferenceEngine engine;

        private Entry(EngineOptions options) {
            this.options = options;
        }

        /** Bytes that it has, or will have once it is open. */
        private long bytes() {
            InferenceEngine open = engine;
            return open == null ? expectedBytes : open.metrics().memory().total();
        }

        /** What goes wrong is logged: whoever closes can do nothing about it. */
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
     * @param availableBytes what all engines together may take
     */
    EngineRegistry(Function<EngineOptions, EngineProvider> providers, LongSupplier availableBytes) {
        this.providers = requireNonNull(providers, "providers is null");
        this.availableBytes = requireNonNull(availableBytes, "availableBytes is null");
    }

    SharedEngines.Lease acquire(EngineOptions options) {
        Entry entry;
        synchronized (entries) {
            entry = entries.computeIfAbsent(options, Entry::new);
            entry.leases++;
            entry.generation++;
            entries.notifyAll();
        }
        try {
            return lease(entry);
        } catch (RuntimeException | Error e) {
            release(entry);
            throw e;
        }
    }

    private SharedEngines.Lease lease(Entry entry) {
        try {
            entry.lock.lockInterruptibly();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ENGINE_CLOSED, "The task was cancelled while it waited for the engine to open.", e);
        }
        try {
            if (entry.engine != null && !entry.engine.isOpen()) {
                entry.closeEngine();
            }
            boolean opens = entry.engine == null;
            if (opens) {
                EngineProvider provider = providers.apply(entry.options);
                makeRoom(entry, provider);
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

    /** Closes idle engines, the longest idle first, as long as they leave too little memory for one that is opened. */
    private void makeRoom(Entry opening, EngineProvider provider) {
        long needed = provider.neededBytes(opening.options);
        List<Entry> idle;
        synchronized (entries) {
            opening.expectedBytes = needed;
            idle = idleEntries().stream().sorted(LONGEST_IDLE_FIRST).toList();
        }
        for (Entry entry : idle) {
            if (fits(opening)) {
                return;
            }
            LOG.info(
                    "The idle engine of {} is closed before its idle-timeout: {} needs the memory.",
                    entry.options.model(),
                    opening.options.model());
            closeIfIdle(entry);
        }
    }

    private Collection<Entry> idleEntries() {
        return entries.values().stream()
                .filter(entry -> entry.leases == 0 && entry.engine != null)
                .toList();
    }

    private boolean fits(Entry opening) {
        long budget = opening.options.memoryBudget();
        synchronized (entries) {
            long idle = idleEntries().stream().mapToLong(Entry::bytes).sum();
            return bytes(entries.values()) <= availableBytes.getAsLong()
                    && (budget == 0 || opening.expectedBytes + idle <= budget);
        }
    }

    private static long bytes(Collection<Entry> entries) {
        return entries.stream().mapToLong(Entry::bytes).sum();
    }

    private void release(Entry entry) {
        synchronized (entries) {
            if (--entry.leases > 0) {
                return;
            }
            if (entry.engine == null) {
                entries.remove(entry.options, entry);
                return;
            }
            entry.idleSince = System.nanoTime();
            long generation = ++entry.generation;
            // A thread of its own that ends with the timeout: a lasting one would keep the class loader alive.
            Thread reaper = new Thread(() -> closeAfterTimeout(entry, generation), "llamafu-idle-engine");
            reaper.setDaemon(true);
            reaper.start();
        }
    }

    private void closeAfterTimeout(Entry entry, long generation) {
        try {
            synchronized (entries) {
                long deadline = System.nanoTime() + entry.options.idleTimeout().toNanos();
                long left = deadline - System.nanoTime();
                while (entry.generation == generation && left > 0) {
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
            // Who came while it was closed has a lease, and opens it again.
            if (entry.leases == 0 && entry.engine == null) {
                entries.remove(entry.options, entry);
            }
        }
    }

    /** Closes all, whoever uses them. */
    void closeAll() {
        List<Entry> all;
        synchronized (entries) {
            all = List.copyOf(entries.values());
            entries.clear();
            all.forEach(entry -> entry.generation++);
            entries.notifyAll();
        }
        for (Entry entry : all) {
            entry.lock.lock();
            try {
                entry.closeEngine();
            } finally {
                entry.lock.unlock();
            }
        }
    }

    /** How many are open, being opened or being closed. */
    int size() {
        synchronized (entries) {
            return entries.size();
        }
    }

    long openedCount() {
        return opened.get();
    }

    /** What those that are open have now. */
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
