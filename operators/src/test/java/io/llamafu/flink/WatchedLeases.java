package io.llamafu.flink;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.ForwardingEngine;
import org.apache.flink.util.function.SerializableFunction;

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * The real shared engines. Records which engines the subtasks got, can hold answers back until the gate is opened, and
 * can inject failures.
 */
record WatchedLeases(String name) implements SerializableFunction<EngineOptions, SharedEngines.Lease> {
    private static final Map<String, Watch> WATCHES = new ConcurrentHashMap<>();

    private static final class Watch {
        private final List<InferenceEngine> engines = new CopyOnWriteArrayList<>();
        private final List<CompletionRequest> requests = new CopyOnWriteArrayList<>();
        private final CompletableFuture<Void> gate = new CompletableFuture<>();
        private final Predicate<CompletionRequest> held;
        private final AtomicInteger answers = new AtomicInteger();
        private final AtomicInteger inFlight = new AtomicInteger();
        private final AtomicInteger mostInFlight = new AtomicInteger();
        private volatile Consumer<InferenceEngine> beforeSubmit = engine -> {};
        private volatile Consumer<InferenceEngine> afterSubmit = engine -> {};
        private volatile Runnable onClose = () -> {};

        private Watch(Predicate<CompletionRequest> held) {
            this.held = held;
        }
    }

    static WatchedLeases open() {
        return holding(request -> false);
    }

    static WatchedLeases closed() {
        return holding(request -> true);
    }

    /** These requests reach the engine only when the gate is opened. */
    static WatchedLeases holding(Predicate<CompletionRequest> held) {
        WatchedLeases leases = new WatchedLeases(UUID.randomUUID().toString());
        WATCHES.put(leases.name(), new Watch(held));
        return leases;
    }

    private Watch watch() {
        return WATCHES.get(name);
    }

    void openGate() {
        watch().gate.complete(null);
    }

    void beforeSubmit(Consumer<InferenceEngine> harm) {
        watch().beforeSubmit = harm;
    }

    void afterSubmit(Consumer<InferenceEngine> harm) {
        watch().afterSubmit = harm;
    }

    void onClose(Runnable harm) {
        watch().onClose = harm;
    }

    /** One per lease; the same engine as often as it was leased. */
    List<InferenceEngine> engines() {
        return watch().engines;
    }

    List<CompletionRequest> requests() {
        return watch().requests;
    }

    /** The number of requests that the engine has answered. */
    int answers() {
        return watch().answers.get();
    }

    /** The most requests without an outcome at a time. */
    int mostInFlight() {
        return watch().mostInFlight.get();
    }

    @Override
    public SharedEngines.Lease apply(EngineOptions options) {
        SharedEngines.Lease lease = SharedEngines.acquire(options);
        watch().engines.add(lease.engine());
        return new SharedEngines.Lease(new WatchedEngine(lease.engine(), watch()), lease.opened(), () -> {
            lease.close();
            watch().onClose.run();
        });
    }

    private static final class WatchedEngine extends ForwardingEngine {
        private final Watch watch;

        private WatchedEngine(InferenceEngine engine, Watch watch) {
            super(engine);
            this.watch = watch;
        }

        @Override
        public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
            watch.beforeSubmit.accept(engine());
            watch.requests.add(request);
            watch.mostInFlight.accumulateAndGet(watch.inFlight.incrementAndGet(), Math::max);
            CompletableFuture<CompletionResult> answer = watch.gate.isDone() || !watch.held.test(request)
                    ? super.submit(request)
                    : watch.gate.thenCompose(opened -> super.submit(request));
            CompletableFuture<CompletionResult> counted = answer.whenComplete((completion, failure) -> {
                watch.inFlight.decrementAndGet();
                if (completion != null) {
                    watch.answers.incrementAndGet();
                }
            });
            // Cancelling must reach the engine.
            CompletableFuture<CompletionResult> unused =
                    counted.whenComplete((completion, failure) -> answer.cancel(false));
            watch.afterSubmit.accept(engine());
            return counted;
        }
    }
}
