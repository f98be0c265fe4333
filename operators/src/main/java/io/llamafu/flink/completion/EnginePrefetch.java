package io.llamafu.flink.completion;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.AdapterPrefetch;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Loads the adapters of new routes into free memory of the engine that answers the router's records: the engine that a
 * client with the same options has open in this class loader. Evicts nothing. Does nothing without such a client, or
 * if adapters have no budget, because routes may name more adapters than there is memory for.
 */
@Internal
public final class EnginePrefetch implements AdapterPrefetch {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(EnginePrefetch.class);

    /**
     * Concurrent loads through one client; further hints are dropped, and their adapters are loaded when a record names
     * them.
     */
    static final int MOST_LOADS = 8;

    /** The open clients of this class loader, and their loads in progress. */
    private static final Map<EngineClient, AtomicInteger> LOADS = new ConcurrentHashMap<>();

    private final LlamafuOptions options;

    public EnginePrefetch(LlamafuOptions options) {
        this.options = checkNotNull(options, "options is null");
    }

    static void opened(EngineClient client) {
        LOADS.put(client, new AtomicInteger());
    }

    static void closed(EngineClient client) {
        LOADS.remove(client);
    }

    @Override
    public void prefetch(AdapterStack stack) {
        if (!stack.isBase()) {
            LOADS.entrySet().stream()
                    .filter(entry -> entry.getKey().options().toMap().equals(options.toMap()))
                    .findFirst()
                    .ifPresent(entry -> load(stack, entry.getKey().openEngine(), entry.getValue()));
        }
    }

    private void load(AdapterStack stack, InferenceEngine engine, AtomicInteger loads) {
        if (loads.incrementAndGet() > MOST_LOADS || !hasRoom(stack, engine.metrics())) {
            loads.decrementAndGet();
            return;
        }
        CompletableFuture<List<AppliedAdapter>> unused = engine.preload(stack).whenComplete((adapters, failure) -> {
            loads.decrementAndGet();
            if (failure != null) {
                LOG.info("Prefetching '{}' failed; a record that names it gets the error.", stack, failure);
            }
        });
    }

    /** An estimate before the files are read, because the adapters of a job are mostly of similar size. */
    private static boolean hasRoom(AdapterStack stack, EngineMetrics metrics) {
        long budget = metrics.adapters().budget();
        long taken = metrics.memory().adapters();
        long each = metrics.adapters().resident() == 0
                ? 0
                : taken / metrics.adapters().resident();
        return budget > 0 && taken + each * stack.entries().size() <= budget;
    }
}
