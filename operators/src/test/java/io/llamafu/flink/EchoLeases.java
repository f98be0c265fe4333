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

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An engine without a model: the answer is the stack. It takes its time for each request, one after the other.
 *
 * @param name whose answers {@link #answers} counts
 */
record EchoLeases(String name, long millisPerAnswer)
        implements SerializableFunction<EngineOptions, SharedEngines.Lease> {
    private static final Map<String, AtomicInteger> ANSWERS = new ConcurrentHashMap<>();

    static EchoLeases create(long millisPerAnswer) {
        EchoLeases leases = new EchoLeases(UUID.randomUUID().toString(), millisPerAnswer);
        ANSWERS.put(leases.name(), new AtomicInteger());
        return leases;
    }

    int answers() {
        return ANSWERS.get(name).get();
    }

    @Override
    public SharedEngines.Lease apply(EngineOptions options) {
        InferenceEngine engine = new EchoEngine(millisPerAnswer, ANSWERS.get(name));
        return new SharedEngines.Lease(engine, false, () -> {});
    }

    private static final class EchoEngine implements InferenceEngine {
        private final long millisPerAnswer;
        private final AtomicInteger answers;
        private CompletableFuture<Void> last = CompletableFuture.completedFuture(null);

        private EchoEngine(long millisPerAnswer, AtomicInteger answers) {
            this.millisPerAnswer = millisPerAnswer;
            this.answers = answers;
        }

        /** Called by the task thread alone. */
        @Override
        public CompletableFuture<Completion> submit(CompletionRequest request) {
            Executor later = millisPerAnswer == 0
                    ? Runnable::run
                    : CompletableFuture.delayedExecutor(millisPerAnswer, TimeUnit.MILLISECONDS);
            CompletableFuture<Completion> answer = last.thenApplyAsync(
                    before -> {
                        answers.incrementAndGet();
                        return new Completion(
                                request.adapters().toString(),
                                FinishReason.END_OF_GENERATION,
                                1,
                                0,
                                1,
                                List.of(),
                                new Timings(0, 0, 0));
                    },
                    later);
            last = answer.handle((completion, failure) -> null);
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
        public boolean unload(String adapter) {
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
        public EngineMetrics metrics() {
            return new EngineMetrics(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, new Memory(0, 0, 0, 0));
        }

        @Override
        public void close() {}
    }
}
