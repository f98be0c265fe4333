package io.llamafu.flink.completion;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.Artifacts;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The engine of a job's options in this TaskManager, as one subtask holds it: its files are here, and it is opened or
 * joined.
 */
@Internal
public final class JobEngine implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(JobEngine.class);

    /** What is open in this class loader, so that a router finds the engine that answers its records. */
    private static final List<JobEngine> OPEN = new CopyOnWriteArrayList<>();

    /** Of a subtask; further ones are dropped: what they name is loaded when a record asks for it. */
    static final int MOST_PREFETCHES = 8;

    /** Flink's own thread may wait for it, and must send heartbeats in between. */
    private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(20);

    private final LlamafuOptions options;
    private final Artifacts artifacts;
    private final Leases.Lease lease;
    private final InferenceEngine engine;

    private final AtomicInteger prefetches = new AtomicInteger();

    private JobEngine(LlamafuOptions options, Artifacts artifacts, Leases.Lease lease) {
        this.options = options;
        this.artifacts = artifacts;
        this.lease = lease;
        this.engine = artifacts.over(lease.engine());
    }

    /**
     * Fetches what is remote and opens the engine, or joins it. Blocks meanwhile.
     *
     * @throws LlamafuException if the files are not to be had, or the engine cannot be opened
     */
    public static JobEngine open(LlamafuOptions options, TaskManager taskManager, Leases leases) {
        taskManager.memory().ifPresent(memory -> SharedEngines.reserve(memory.managed()));
        taskManager.classLoader().beforeClosing("llamafu-engines", () -> SharedEngines.closeAll(CLOSE_PATIENCE));
        Artifacts artifacts = Artifacts.acquire(options.artifacts(taskManager.temporaryFolder()));
        try {
            EngineOptions engine = options.toEngineOptions(
                    artifacts.model(), artifacts.adapters(), artifacts.adapterFiles(), taskManager.gpu());
            JobEngine opened = new JobEngine(options, artifacts, acquire(leases, engine, artifacts));
            OPEN.add(opened);
            if (opened.lease.opened()) {
                warnIfMemoryIsShort(taskManager);
            }
            return opened;
        } catch (RuntimeException | Error e) {
            artifacts.close();
            throw e;
        }
    }

    private static Leases.Lease acquire(Leases leases, EngineOptions options, Artifacts artifacts) {
        try {
            return leases.acquire(options);
        } catch (LlamafuException e) {
            throw artifacts.explain(e);
        }
    }

    private static void warnIfMemoryIsShort(TaskManager taskManager) {
        try {
            Optional<String> shortage = taskManager
                    .memory()
                    .map(NativeMemory.Limits::of)
                    .flatMap(limits -> new NativeMemory(SharedEngines.usage()).shortage(limits));
            shortage.ifPresent(LOG::warn);
        } catch (RuntimeException e) {
            LOG.warn("Could not tell whether the memory of the TaskManager is enough.", e);
        }
    }

    /**
     * Loads the adapters of a stack that will be asked for into memory that is free, if an engine of these options is open
     * here. A hint: it neither waits nor throws, does nothing without {@code adapters.memory-budget}, as routes may name
     * more adapters than there is memory for, and takes no adapter's place.
     */
    public static void prefetch(LlamafuOptions options, AdapterStack stack) {
        if (!stack.isBase()) {
            OPEN.stream()
                    .filter(open -> open.options.toMap().equals(options.toMap()))
                    .findFirst()
                    .ifPresent(open -> open.prefetch(stack));
        }
    }

    private void prefetch(AdapterStack stack) {
        if (prefetches.incrementAndGet() <= MOST_PREFETCHES && hasRoom(stack)) {
            CompletableFuture<List<ResolvedAdapter>> unused = engine.preload(stack)
                    .whenComplete((adapters, failure) -> {
                        prefetches.decrementAndGet();
                        if (failure != null) {
                            LOG.info("Prefetching '{}' failed; a record that names it gets the error.", stack, failure);
                        }
                    });
        } else {
            prefetches.decrementAndGet();
        }
    }

    /** As far as one can tell before the files are read: adapters of a job are mostly alike. */
    private boolean hasRoom(AdapterStack stack) {
        long budget = options.adaptersMemoryBudget();
        EngineMetrics metrics = engine.metrics();
        long taken = metrics.memory().adapters();
        long each = metrics.residentAdapters() == 0 ? 0 : taken / metrics.residentAdapters();
        return budget > 0 && taken + each * stack.entries().size() <= budget;
    }

    public InferenceEngine engine() {
        return engine;
    }

    /** Gives the engine and its files back. Idempotent; does not throw. */
    @Override
    public void close() {
        OPEN.remove(this);
        lease.close();
        artifacts.close();
    }
}
