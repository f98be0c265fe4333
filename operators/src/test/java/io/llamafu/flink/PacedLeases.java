package io.llamafu.flink;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.StubEngine;
import org.apache.flink.util.function.SerializableFunction;

import java.time.Duration;
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

/** Leases of one engine without a model, for a job in a cluster of this JVM. The answer is the stack. */
record PacedLeases(String name) implements SerializableFunction<EngineOptions, SharedEngines.Lease> {
    private static final Map<String, PacedEngine> ENGINES = new ConcurrentHashMap<>();

    /** Answers one request after the other at a fixed rate, until it is closed. */
    static PacedLeases perSecond(int answers) {
        PacedEngine engine = new PacedEngine();
        ScheduledExecutorService pace = Executors.newSingleThreadScheduledExecutor();
        ScheduledFuture<?> unused =
                pace.scheduleAtFixedRate(engine::answerNext, 0, 1_000_000 / answers, TimeUnit.MICROSECONDS);
        engine.pace = pace;
        return of(engine);
    }

    /** Answers a request as soon as it is submitted. */
    static PacedLeases atOnce() {
        return of(new PacedEngine());
    }

    private static PacedLeases of(PacedEngine engine) {
        PacedLeases leases = new PacedLeases(UUID.randomUUID().toString());
        ENGINES.put(leases.name(), engine);
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

    private record Waiting(CompletionRequest request, CompletableFuture<CompletionResult> answer) {}

    private static final class PacedEngine extends StubEngine {
        private final BlockingQueue<Waiting> waiting = new LinkedBlockingQueue<>();
        private final AtomicLong answers = new AtomicLong();
        private ScheduledExecutorService pace;

        private void answerNext() {
            Waiting next = waiting.poll();
            while (next != null && next.answer().isDone()) {
                next = waiting.poll();
            }
            if (next != null) {
                answers.incrementAndGet();
                next.answer().complete(answer(next.request().adapters().toString()));
            }
        }

        @Override
        public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
            CompletableFuture<CompletionResult> answer = new CompletableFuture<>();
            waiting.add(new Waiting(request, answer));
            if (pace == null) {
                answerNext();
            }
            return answer;
        }

        @Override
        public Duration unattendedFor() {
            return Duration.ZERO;
        }
    }
}
