package io.llamafu.flink;

import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.Meter;
import org.apache.flink.metrics.Metric;
import org.apache.flink.runtime.metrics.scope.ScopeFormat;
import org.apache.flink.runtime.testutils.CommonTestUtils;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.DoublePredicate;
import java.util.function.ToLongFunction;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** The metrics of a whole job are exactly those that docs/operators.md lists. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class MetricsIT {
    private static final Path GUIDE = Path.of("../docs/operators.md");

    private static final InMemoryReporter REPORTER = InMemoryReporter.createWithRetainedMetrics();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
            .setConfiguration(REPORTER.addToConfiguration(new Configuration()))
            .setNumberTaskManagers(1)
            .setNumberSlotsPerTaskManager(1)
            .build());

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();

    /** The metrics, by operator and name within its group, of a job in which everything counted occurs. */
    private Map<String, Map<String, Metric>> runJob() throws Exception {
        SavepointSteps steps = new SavepointSteps()
                .rule("gold-*", "finance", 10)
                .rule("malformed", "not:a:stack", 10)
                .route("a", "medical", 10)
                .route("b", "missing", 10)
                .route("b", "not:a:stack", 11)
                .record("a", "waits", 15)
                .watermark(20)
                .rule("late", "legal", 12)
                .route("a", "legal", 12)
                .record("a", "late", 11)
                .record("b", "fails", 30)
                .record("gold-1", "by rule", 30)
                .watermark(40);
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 1);
        SavepointSteps.Streams streams = steps.streams(env);
        Llamafu.complete(streams.tickets())
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(streams.routes())
                .rules(streams.rules())
                .eventTime()
                .with(Notes.options().onError(OnError.EMIT).build())
                .build()
                .sinkTo(sink);
        JobClient job = env.executeAsync();
        Await.until("answers to all records", () -> sink.committed().size() == 4);
        cancel(job);
        return metrics(job);
    }

    private static void cancel(JobClient job) throws Exception {
        job.cancel().get();
        CommonTestUtils.waitForJobStatus(job, List.of(JobStatus.CANCELED));
    }

    private static Map<String, Map<String, Metric>> metrics(JobClient job) {
        Map<String, Map<String, Metric>> metrics = new TreeMap<>();
        REPORTER.getMetricsByGroup().forEach((group, ofGroup) -> {
            if (job.getJobID().toString().equals(group.getAllVariables().get(ScopeFormat.SCOPE_JOB_ID))) {
                // host, taskmanager, its id, job, operator, subtask, llamafu, engine
                List<String> scope = List.of(group.getScopeComponents());
                int llamafu = scope.indexOf("llamafu");
                if (llamafu >= 0) {
                    String prefix = scope.subList(llamafu + 1, scope.size()).stream()
                            .map(name -> name + ".")
                            .collect(Collectors.joining());
                    Map<String, Metric> ofOperator =
                            metrics.computeIfAbsent(scope.get(llamafu - 2), operator -> new TreeMap<>());
                    ofGroup.forEach((name, metric) -> ofOperator.put(prefix + name, metric));
                }
            }
        });
        return metrics;
    }

    @Test
    void guideNamesEveryMetricAndNoOther() throws Exception {
        Set<String> registered = runJob().values().stream()
                .flatMap(ofOperator -> ofOperator.keySet().stream())
                .map(name -> name.replaceFirst("^code\\.[A-Z_]+\\.", "code.<ErrorCode>.")
                        .replaceFirst("^adapter\\.[^.]+\\.", "adapter.<name>."))
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(documented()).isEqualTo(registered);
    }

    /** The names in the first column of the tables, the second of which is about the group of the engine. */
    private static Set<String> documented() throws Exception {
        Set<String> names = new TreeSet<>();
        boolean section = false;
        String group = "";
        for (String line : Files.readAllLines(GUIDE)) {
            if (line.startsWith("## ")) {
                section = line.equals("## Metrics");
            } else if (section && line.startsWith("In the group `llamafu.engine`")) {
                group = "engine.";
            } else if (section && line.startsWith("| `")) {
                String prefix = group;
                Pattern.compile("`([^`]+)`")
                        .matcher(line.substring(0, line.indexOf('|', 1)))
                        .results()
                        .map((MatchResult name) -> prefix + name.group(1))
                        .forEach(names::add);
            }
        }
        return names;
    }

    @Test
    void whatTheJobDidIsCounted() throws Exception {
        Map<String, Map<String, Metric>> metrics = runJob();

        assertThat(counts(metrics.get("Llamafu rule check")))
                .isEqualTo(Map.of("routeChanges", 2L, "rejectedRouteChanges", 1L));
        assertThat(counts(metrics.get("Llamafu rules"))).isEqualTo(Map.of("lateRecords", 1L, "lateRouteChanges", 1L));
        assertThat(counts(metrics.get("Llamafu route check")))
                .isEqualTo(Map.of("routeChanges", 3L, "rejectedRouteChanges", 1L));
        assertThat(counts(metrics.get("Llamafu router"))).isEqualTo(Map.of("lateRecords", 1L, "lateRouteChanges", 1L));
        Map<String, Metric> ofCompletion = metrics.get("Llamafu completion");
        assertThat(counts(ofCompletion))
                .containsAllEntriesOf(Map.of(
                        "requests", 4L,
                        "completions", 3L,
                        "errors", 1L,
                        "code.ADAPTER_NOT_FOUND.errors", 1L,
                        "adapter.finance.requests", 1L,
                        "adapter.finance.completions", 1L,
                        "adapter._others.requests", 1L,
                        "adapter._others.completions", 0L))
                .containsEntry("promptTokens", sum(Completion::getPromptTokens))
                .containsEntry("cachedPromptTokens", sum(Completion::getCachedPromptTokens))
                .containsEntry("generatedTokens", sum(Completion::getGeneratedTokens));
        assertThat(List.of("queueMillis", "firstTokenMillis", "totalMillis"))
                .allSatisfy(name -> assertThat(((Histogram) ofCompletion.get(name)).getCount())
                        .as(name)
                        .isEqualTo(3));
    }

    private static Map<String, Long> counts(Map<String, Metric> ofOperator) {
        Map<String, Long> counts = new TreeMap<>();
        ofOperator.forEach((name, metric) -> {
            if (metric instanceof Counter counter) {
                counts.put(name, counter.getCount());
            }
        });
        return counts;
    }

    private long sum(ToLongFunction<Completion> tokens) {
        return sink.committed().stream()
                .filter(completion -> completion.getText() != null)
                .mapToLong(tokens)
                .sum();
    }

    /** More requests than it can run, with adapters that do not fit beside each other, and one that is invalid. */
    @Test
    void gaugesShowABusyEngine(@TempDir Path adapters) throws Exception {
        int sequences = 2;
        TinyModel.publish(adapters, "medical", "medical");
        TinyModel.publish(adapters, "legal", "legal");
        Files.writeString(adapters.resolve("broken.gguf"), "no adapter");
        long roomForOne = Files.size(adapters.resolve("medical.gguf")) * 3 / 2;
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 1);
        Llamafu.complete(Jobs.tickets(env, 1_000_000, 100_000))
                .prompt(Ticket::text)
                .stack(ticket -> List.of("medical", "legal", "broken").get((int) (ticket.time % 3)))
                .with(Notes.options()
                        .adapters(adapters.toString())
                        .adaptersMemoryBudget(new MemorySize(roomForOne))
                        .parallelSequences(sequences)
                        .onError(OnError.EMIT)
                        .build())
                .build()
                .sinkTo(new DiscardingSink<>());
        JobClient job = env.executeAsync();

        awaitGauge(job, "activeSequences", value -> value == sequences);
        awaitGauge(job, "batchFill", value -> value == 1);
        awaitGauge(job, "waitingRequests", value -> value > 0);
        awaitGauge(job, "usedCells", value -> value > 0);
        awaitGauge(job, "contextUse", value -> value > 0 && value < 1);
        awaitGauge(job, "residentAdapters", value -> value == 1);
        awaitGauge(job, "adapterBytes", value -> value > 0 && value <= roomForOne);
        awaitGauge(job, "adapterLoads", value -> value > 2);
        awaitGauge(job, "adapterEvictions", value -> value > 1);
        awaitGauge(job, "adapterFailures", value -> value > 0);
        awaitRate(job, "completionsPerSecond");
        awaitRate(job, "generatedTokensPerSecond");
        awaitRate(job, "errorsPerSecond");
        cancel(job);
    }

    private static void awaitGauge(JobClient job, String name, DoublePredicate expected) throws Exception {
        Await.until("the gauge " + name, () -> {
            Metric gauge = ofCompletion(job).get("engine." + name);
            return gauge != null && expected.test(((Number) ((Gauge<?>) gauge).getValue()).doubleValue());
        });
    }

    /** Flink updates rates every five seconds. */
    private static void awaitRate(JobClient job, String name) throws Exception {
        Await.until("the rate " + name, () -> ((Meter) ofCompletion(job).get(name)).getRate() > 0);
    }

    private static Map<String, Metric> ofCompletion(JobClient job) {
        return metrics(job).getOrDefault("Llamafu completion", Map.of());
    }
}
