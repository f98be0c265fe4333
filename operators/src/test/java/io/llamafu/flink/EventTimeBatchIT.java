package io.llamafu.flink;

import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** A batch job, which does not wait, routes like a streaming job, which does. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class EventTimeBatchIT {
    /** Flink sorts keys by their bytes, and such a length starts with a negative byte. */
    private static final String LONG_KEY = "k".repeat(200);

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(2);

    @TempDir
    static Path folder;

    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    void changesHoldFromTheirTimeWheneverTheyCome(RuntimeExecutionMode mode) throws Exception {
        StreamExecutionEnvironment env = Jobs.environment(
                Jobs.configuration(folder.resolve("checkpoints")).set(ExecutionOptions.RUNTIME_MODE, mode), 2);
        Map<String, String> texts = new TreeMap<>();
        new CompletionBuilder<>(
                        env.fromData(
                                        Types.POJO(Ticket.class),
                                        ticket("a", 5),
                                        ticket("a", 25),
                                        ticket("a", 15),
                                        ticket("a", 35),
                                        ticket("", 15),
                                        ticket(LONG_KEY, 5),
                                        ticket(LONG_KEY, 25))
                                .assignTimestampsAndWatermarks(
                                        WatermarkStrategy.<Ticket>forBoundedOutOfOrderness(Duration.ofDays(1))
                                                .withTimestampAssigner((ticket, time) -> ticket.time)),
                        PacedLeases.atOnce())
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(env.fromData(
                                new AdapterRoute("a", "legal", 20L, null),
                                new AdapterRoute("a", "medical", 10L, null),
                                new AdapterRoute("a", null, 30L, null))
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<AdapterRoute>forMonotonousTimestamps()
                                .withTimestampAssigner((change, time) -> 1000 + change.getValidFrom())))
                .rules(env.fromData(
                                new RouteRule("long", "k*", 0, "finance", null, 20L),
                                new RouteRule("default", null, 0, "formal", null, 0L))
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<RouteRule>forMonotonousTimestamps()
                                .withTimestampAssigner((rule, time) -> 1000 + rule.getValidFrom())))
                .eventTime()
                .with(Notes.options().build())
                .build()
                .executeAndCollect(100)
                .forEach(completion -> texts.put(completion.getId(), completion.getText()));

        assertThat(texts)
                .isEqualTo(new TreeMap<>(Map.of(
                        "a at 5",
                        "formal",
                        "a at 15",
                        "medical",
                        "a at 25",
                        "legal",
                        "a at 35",
                        "formal",
                        " at 15",
                        "formal",
                        LONG_KEY + " at 5",
                        "formal",
                        LONG_KEY + " at 25",
                        "finance")));
    }

    private static Ticket ticket(String tenant, long time) {
        return new Ticket(tenant + " at " + time, tenant, "text", time);
    }
}
