package io.llamafu.flink;

import io.llamafu.testing.Await;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Metric;
import org.apache.flink.runtime.metrics.scope.ScopeFormat;
import org.apache.flink.runtime.testutils.CommonTestUtils;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeEach;
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
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** What a reporter gets from a whole job: what docs/operators.md says, and nothing else. */
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

    /** By operator and name in its group. */
    private final Map<String, Map<String, Metric>> metrics = new TreeMap<>();

    /** Something of each kind that is counted. */
    @BeforeEach
    void runJob() throws Exception {
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
        CommittedSink sink = CommittedSink.create();
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
        job.cancel().get();
        CommonTestUtils.waitForJobStatus(job, List.of(JobStatus.CANCELED));

        REPORTER.getMetricsByGroup().forEach((group, ofGroup) -> {
            if (job.getJobID().toString().equals(group.getAllVariables().get(ScopeFormat.SCOPE_JOB_ID))) {
                ofGroup.forEach((name, metric) -> keep(List.of(group.getScopeComponents()), name, metric));
            }
        });
    }

    /** @param scope as host, taskmanager, its id, job, operator, subtask, llamafu, engine */
    private void keep(List<String> scope, String name, Metric metric) {
        int group = scope.indexOf("llamafu");
        if (group >= 0) {
            String path = String.join(".", scope.subList(group + 1, scope.size()));
            metrics.computeIfAbsent(scope.get(group - 2), operator -> new TreeMap<>())
                    .put(path.isEmpty() ? name : path + "." + name, metric);
        }
    }

    @Test
    void guideNamesEveryMetricAndNoOther() throws Exception {
        Set<String> registered = metrics.values().stream()
                .flatMap(ofOperator -> ofOperator.keySet().stream())
                .map(name -> name.replaceFirst("^code\\.[A-Z_]+\\.", "code.<ErrorCode>.")
                        .replaceFirst("^adapter\\.[^.]+\\.", "adapter.<name>."))
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(documented()).isEqualTo(registered);
    }

    /** The names in the first column of the tables, whose second is about the group of the engine. */
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
    void changesAndLateComersAreCounted() {
        assertThat(count("Llamafu rule check", "routeChanges")).isEqualTo(2);
        assertThat(count("Llamafu rule check", "rejectedRouteChanges")).isEqualTo(1);
        assertThat(count("Llamafu rules", "lateRecords")).isEqualTo(1);
        assertThat(count("Llamafu rules", "lateRouteChanges")).isEqualTo(1);
        assertThat(count("Llamafu router", "routeChanges")).isEqualTo(3);
        assertThat(count("Llamafu router", "rejectedRouteChanges")).isEqualTo(1);
        assertThat(count("Llamafu router", "lateRecords")).isEqualTo(1);
        assertThat(count("Llamafu router", "lateRouteChanges")).isEqualTo(1);
    }

    @Test
    void recordsAndAdaptersAreCounted() {
        assertThat(count("Llamafu completion", "requests")).isEqualTo(4);
        assertThat(count("Llamafu completion", "completions")).isEqualTo(3);
        assertThat(count("Llamafu completion", "errors")).isEqualTo(1);
        assertThat(count("Llamafu completion", "code.ADAPTER_NOT_FOUND.errors")).isEqualTo(1);
        assertThat(count("Llamafu completion", "adapter.finance.completions")).isEqualTo(1);
        assertThat(count("Llamafu completion", "adapter.missing.requests")).isEqualTo(1);
        assertThat(count("Llamafu completion", "adapter.missing.completions")).isZero();
        assertThat(count("Llamafu completion", "promptTokens")).isPositive();
        assertThat(count("Llamafu completion", "generatedTokens")).isPositive();
    }

    private long count(String operator, String name) {
        return ((Counter) metrics.get(operator).get(name)).getCount();
    }
}
