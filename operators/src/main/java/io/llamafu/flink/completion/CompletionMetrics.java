package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.engine.Completion;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * What the completion operator shows, in the group {@code llamafu} of its metrics.
 *
 * <p>Counted by this subtask: {@code requests}, {@code completions}, {@code errors}, {@code promptTokens},
 * {@code cachedPromptTokens}, {@code generatedTokens}; and {@code errors} once more for each {@link ErrorCode}, in the
 * groups {@code code.<ErrorCode>} (a label in label-based reporters).
 *
 * <p>Read from the engine, which all subtasks and jobs of a TaskManager share, in the group {@code engine}:
 * {@code activeSequences}, {@code parallelSequences}, {@code waitingRequests}, {@code reservedCells},
 * {@code contextCells}, {@code decodeSteps}, {@code residentAdapters}, {@code adapterLoads}, and in bytes
 * {@code modelBytes}, {@code contextBytes}, {@code computeBytes}, {@code adapterBytes}. Of all engines of the class loader
 * together, {@code modelLoads}.
 */
final class CompletionMetrics {
    private final Counter requests;
    private final Counter completions;
    private final Counter errors;
    private final Counter promptTokens;
    private final Counter cachedPromptTokens;
    private final Counter generatedTokens;
    private final Map<ErrorCode, Counter> errorsByCode = new EnumMap<>(ErrorCode.class);

    CompletionMetrics(MetricGroup operator, Supplier<InferenceEngine> engine) {
        MetricGroup group = operator.addGroup("llamafu");
        requests = counter(group, "requests");
        completions = counter(group, "completions");
        errors = counter(group, "errors");
        promptTokens = counter(group, "promptTokens");
        cachedPromptTokens = counter(group, "cachedPromptTokens");
        generatedTokens = counter(group, "generatedTokens");
        for (ErrorCode code : ErrorCode.values()) {
            errorsByCode.put(code, counter(group.addGroup("code", code.name()), "errors"));
        }
        registerEngine(group.addGroup("engine"), engine);
    }

    private static void registerEngine(MetricGroup group, Supplier<InferenceEngine> engine) {
        gauge(group, "activeSequences", engine, EngineMetrics::activeSequences);
        gauge(group, "parallelSequences", engine, EngineMetrics::parallelSequences);
        gauge(group, "waitingRequests", engine, EngineMetrics::waitingRequests);
        gauge(group, "reservedCells", engine, EngineMetrics::reservedCells);
        gauge(group, "contextCells", engine, EngineMetrics::contextCells);
        gauge(group, "decodeSteps", engine, EngineMetrics::decodeSteps);
        gauge(group, "residentAdapters", engine, EngineMetrics::residentAdapters);
        gauge(group, "adapterLoads", engine, EngineMetrics::adapterLoads);
        group.gauge("modelLoads", (Gauge<Long>) SharedEngines::openedEngines);
        gauge(group, "modelBytes", engine, metrics -> metrics.memory().model());
        gauge(group, "contextBytes", engine, metrics -> metrics.memory().context());
        gauge(group, "computeBytes", engine, metrics -> metrics.memory().compute());
        gauge(group, "adapterBytes", engine, metrics -> metrics.memory().adapters());
    }

    private static void gauge(
            MetricGroup group, String name, Supplier<InferenceEngine> engine, Function<EngineMetrics, Number> value) {
        Gauge<Number> gauge = () -> value.apply(engine.get().metrics());
        group.gauge(name, gauge);
    }

    private static Counter counter(MetricGroup group, String name) {
        return group.counter(name, new ConcurrentCounter());
    }

    void request() {
        requests.inc();
    }

    void completion(Completion completion) {
        completions.inc();
        promptTokens.inc(completion.promptTokens());
        cachedPromptTokens.inc(completion.cachedPromptTokens());
        generatedTokens.inc(completion.generatedTokens());
    }

    void error(ErrorCode code) {
        errors.inc();
        errorsByCode.get(code).inc();
    }

    /** Flink's own counters are for one thread; these are counted by the task's and the engine's. */
    private static final class ConcurrentCounter implements Counter {
        private final LongAdder count = new LongAdder();

        @Override
        public void inc() {
            count.increment();
        }

        @Override
        public void inc(long n) {
            count.add(n);
        }

        @Override
        public void dec() {
            count.decrement();
        }

        @Override
        public void dec(long n) {
            count.add(-n);
        }

        @Override
        public long getCount() {
            return count.sum();
        }
    }
}
