package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.flink.completion.Leases;

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** The real shared engines. Tells which ones the subtasks got, and can hold answers back until the gate is opened. */
record WatchedLeases(String name) implements Leases {
    private static final Map<String, Watch> WATCHES = new ConcurrentHashMap<>();

    private static final class Watch {
        private final List<InferenceEngine> engines = new CopyOnWriteArrayList<>();
        private final List<CompletionRequest> requests = new CopyOnWriteArrayList<>();
        private final CompletableFuture<Void> gate = new CompletableFuture<>();
    }

    static WatchedLeases open() {
        WatchedLeases leases = closed();
        leases.openGate();
        return leases;
    }

    static WatchedLeases closed() {
        WatchedLeases leases = new WatchedLeases(UUID.randomUUID().toString());
        WATCHES.put(leases.name(), new Watch());
        return leases;
    }

    private Watch watch() {
        return WATCHES.get(name);
    }

    void openGate() {
        watch().gate.complete(null);
    }

    /** One for each lease; the same engine as often as it was leased. */
    List<InferenceEngine> engines() {
        return watch().engines;
    }

    List<CompletionRequest> requests() {
        return watch().requests;
    }

    @Override
    public Lease acquire(EngineOptions options) {
        Lease lease = Leases.shared(options);
        watch().engines.add(lease.engine());
        InferenceEngine held = new HeldEngine(lease.engine(), watch());
        return new Lease() {
            @Override
            public InferenceEngine engine() {
                return held;
            }

            @Override
            public void close() {
                lease.close();
            }
        };
    }

    private record HeldEngine(InferenceEngine engine, Watch watch) implements InferenceEngine {
        @Override
        public CompletableFuture<Completion> submit(CompletionRequest request) {
            watch.requests.add(request);
            return watch.gate.isDone()
                    ? engine.submit(request)
                    : watch.gate.thenCompose(opened -> engine.submit(request));
        }

        @Override
        public int countTokens(String text) {
            return engine.countTokens(text);
        }

        @Override
        public List<LoadedAdapter> adapters() {
            return engine.adapters();
        }

        @Override
        public CompletableFuture<List<ResolvedAdapter>> preload(AdapterStack stack) {
            return engine.preload(stack);
        }

        @Override
        public boolean unload(String name) {
            return engine.unload(name);
        }

        @Override
        public int clear() {
            return engine.clear();
        }

        @Override
        public boolean isOpen() {
            return engine.isOpen();
        }

        @Override
        public EngineMetrics metrics() {
            return engine.metrics();
        }

        @Override
        public void close() {
            engine.close();
        }
    }
}
