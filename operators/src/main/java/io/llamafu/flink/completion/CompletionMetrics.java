package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.MeterView;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.metrics.DescriptiveStatisticsHistogram;

import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The metrics of the completion operator, in the group {@code llamafu}; docs/operators.md lists the names. Updated by
 * the task's thread and the engine's. The group {@code engine} reads the engine, which all subtasks and jobs of a
 * TaskManager share.
 */
final class CompletionMetrics {
    /** The number of recent completions in a histogram. */
    private static final int HISTOGRAM_WINDOW = 1000;

    private final Counter requests;
    private final Counter completions;
    private final Counter errors;
    private final Counter promptTokens;
    private final Counter cachedPromptTokens;
    private final Counter generatedTokens;
    private final Counter memoHits;
    private final Histogram queueMillis;
    private final Histogram firstTokenMillis;
    private final Histogram totalMillis;
    private final Map<ErrorCode, Counter> errorsByCode = new EnumMap<>(ErrorCode.class);
    private final AdapterMetrics adapters;

    CompletionMetrics(MetricGroup operator, Supplier<InferenceEngine> engine) {
        MetricGroup group = operator.addGroup("llamafu");
        requests = rated(group, "requests");
        completions = rated(group, "completions");
        errors = rated(group, "errors");
        promptTokens = rated(group, "promptTokens");
        cachedPromptTokens = rated(group, "cachedPromptTokens");
        generatedTokens = rated(group, "generatedTokens");
        memoHits = rated(group, "memoHits");
        queueMillis = histogram(group, "queueMillis");
        firstTokenMillis = histogram(group, "firstTokenMillis");
        totalMillis = histogram(group, "totalMillis");
        for (ErrorCode code : ErrorCode.values()) {
            errorsByCode.put(code, group.addGroup("code", code.name()).counter("errors", new ConcurrentCounter()));
        }
        adapters = new AdapterMetrics(group);
        registerEngine(group.addGroup("engine"), engine);
    }

    private static void registerEngine(MetricGroup group, Supplier<InferenceEngine> engine) {
        gauge(group, "activeSequences", engine, metrics -> metrics.sequences().active());
        gauge(group, "parallelSequences", engine, metrics -> metrics.sequences().most());
        gauge(
                group,
                "batchFill",
                engine,
                metrics ->
                        share(metrics.sequences().active(), metrics.sequences().most()));
        gauge(group, "waitingRequests", engine, metrics -> metrics.requests().waiting());
        gauge(group, "reservedCells", engine, metrics -> metrics.sequences().reservedCells());
        gauge(group, "usedCells", engine, metrics -> metrics.sequences().usedCells());
        gauge(group, "contextCells", engine, metrics -> metrics.sequences().contextCells());
        gauge(
                group,
                "contextUse",
                engine,
                metrics -> share(
                        metrics.sequences().usedCells(), metrics.sequences().contextCells()));
        gauge(group, "decodeSteps", engine, metrics -> metrics.decoding().steps());
        gauge(group, "cachedPromptTokens", engine, metrics -> metrics.decoding().cachedPromptTokens());
        gauge(group, "prefixHits", engine, metrics -> metrics.decoding().prefixHits());
        gauge(group, "memoHits", engine, metrics -> metrics.requests().memoHits());
        gauge(group, "residentAdapters", engine, metrics -> metrics.adapters().resident());
        gauge(group, "adapterLoads", engine, metrics -> metrics.adapters().loads());
        gauge(group, "adapterEvictions", engine, metrics -> metrics.adapters().evictions());
        gauge(group, "adapterFailures", engine, metrics -> metrics.adapters().failures());
        // A separate object per operator, because Flink reports an object that is registered twice only under its last
        // name.
        gauge(group, "modelLoads", engine, metrics -> SharedEngines.openedEngines());
        gauge(group, "modelBytes", engine, metrics -> metrics.memory().model());
        gauge(group, "contextBytes", engine, metrics -> metrics.memory().context());
        gauge(group, "computeBytes", engine, metrics -> metrics.memory().compute());
        gauge(group, "adapterBytes", engine, metrics -> metrics.memory().adapters());
        gauge(group, "adapterBudgetBytes", engine, metrics -> metrics.adapters().budget());
    }

    private static double share(long part, long whole) {
        return whole == 0 ? 0 : (double) part / whole;
    }

    private static void gauge(
            MetricGroup group, String name, Supplier<InferenceEngine> engine, Function<EngineMetrics, Number> value) {
        Gauge<Number> gauge = () -> value.apply(engine.get().metrics());
        group.gauge(name, gauge);
    }

    /** A counter with its rate over the last minute. */
    private static Counter rated(MetricGroup group, String name) {
        Counter counter = group.counter(name, new ConcurrentCounter());
        group.meter(name + "PerSecond", new MeterView(counter));
        return counter;
    }

    private static Histogram histogram(MetricGroup group, String name) {
        return group.histogram(name, new DescriptiveStatisticsHistogram(HISTOGRAM_WINDOW));
    }

    /** Counts a received record, whether or not the engine can be asked. */
    void request() {
        requests.inc();
    }

    /** Counts the outcome of a request to the engine. */
    void outcome(CompletionRequest request, Optional<ErrorCode> failure) {
        adapters.request(request.adapters(), failure);
    }

    void completion(CompletionResult completion) {
        completions.inc();
        promptTokens.inc(completion.promptTokens());
        cachedPromptTokens.inc(completion.cachedPromptTokens());
        if (completion.isRemembered()) {
            memoHits.inc();
        } else {
            generatedTokens.inc(completion.generatedTokens());
        }
        queueMillis.update(Math.round(completion.timings().queueMillis()));
        firstTokenMillis.update(Math.round(completion.timings().firstTokenMillis()));
        totalMillis.update(Math.round(completion.timings().totalMillis()));
        adapters.completion(completion);
    }

    void error(ErrorCode code) {
        errors.inc();
        errorsByCode.get(code).inc();
    }
}
