package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.Completion.Timings;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineMetrics.Memory;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.util.function.SerializableFunction;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** An engine without a model that answers one request after the other, at a fixed rate. */
final class PacedEngine implements InferenceEngine {
    private final BlockingQueue<CompletableFuture<Completion>> waiting = new LinkedBlockingQueue<>();
    private final AtomicLong answers = new AtomicLong();
    private final ScheduledExecutorService pace = Executors.newSingleThreadScheduledExecutor();

    private PacedEngine(int perSecond) {
        ScheduledFuture<?> unused =
                pace.scheduleAtFixedRate(this::answerNext, 0, 1_000_000 / perSecond, TimeUnit.MICROSECONDS);
    }

    /** For a job in a cluster in this JVM. */
    record Paced(String name) implements SerializableFunction<EngineOptions, SharedEngines.Lease> {
        private static final Map<String, PacedEngine> ENGINES = new ConcurrentHashMap<>();

        static Paced perSecond(int answers) {
            Paced leases = new Paced(UUID.randomUUID().toString());
            ENGINES.put(leases.name(), new PacedEngine(answers));
            return leases;
        }

        long answers() {
            return ENGINES.get(name).answers.get();
        }

        void close() {
            ENGINES.remove(name).pace.shutdownNow();
        }

        @Override
        public SharedEngines.Lease apply(EngineOptions options) {
            return new SharedEngines.Lease(ENGINES.get(name), false, () -> {});
        }
    }

    private void answerNext() {
        CompletableFuture<Completion> next = waiting.poll();
        while (next != null && next.isDone()) {
            next = waiting.poll();
        }
        if (next != null) {
            answers.incrementAndGet();
            next.complete(
                    new Completion("answer", FinishReason.END_OF_GENERATION, 1, 0, 1, List.of(), new Timings(0, 0, 0)));
        }
    }

    @Override
    public CompletableFuture<Completion> submit(CompletionRequest request) {
        CompletableFuture<Completion> answer = new CompletableFuture<>();
        waiting.add(answer);
        return answer;
    }

    @Override
    public int countTokens(String text) {
        return text.length();
    }

    @Override
    public List<LoadedAdapter> adapters() {
        return List.of();
    }

    @Override
    public CompletableFuture<List<ResolvedAdapter>> preload(AdapterStack stack) {
        return CompletableFuture.completedFuture(List.of());
    }

    @Override
    public boolean unload(String name) {
        return false;
    }

    @Override
    public int clear() {
        return 0;
    }

    @Override
    public boolean isOpen() {
        return true;
    }

    @Override
    public Duration unattendedFor() {
        return Duration.ZERO;
    }

    @Override
    public EngineMetrics metrics() {
        return new EngineMetrics(0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, new Memory(0, 0, 0, 0));
    }

    @Override
    public void close() {}
}
