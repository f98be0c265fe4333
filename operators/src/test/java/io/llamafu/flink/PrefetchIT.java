package io.llamafu.flink;

import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.testing.Await;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.file.Path;
import java.util.List;

/** Adapters are in memory before the first record of a new route or rule needs them. */
@Timeout(120)
class PrefetchIT {
    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(2);

    @TempDir
    Path folder;

    private StreamExecutionEnvironment env;

    @ParameterizedTest
    @CsvSource({"true, false", "true, true", "false, false", "false, true"})
    void adaptersOfRoutesAndRulesAreLoadedBeforeARecordAsks(boolean rules, boolean eventTime) throws Exception {
        env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 2);
        WatchedLeases leases = WatchedLeases.closed();
        CompletionBuilder<Ticket> builder = new CompletionBuilder<>(
                        stream(Ticket.class, new Ticket("1", "other", "x", 10)), leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .with(Notes.options()
                        .adaptersMemoryBudget(MemorySize.ofMebiBytes(1))
                        .onError(OnError.EMIT)
                        .build());
        if (rules) {
            builder.rules(stream(RouteRule.class, new RouteRule("r", "acme*", 0, "medical+formal", null, 0L)));
        } else {
            builder.routes(stream(
                    AdapterRoute.class,
                    new AdapterRoute(
                            "acme",
                            null,
                            0L,
                            List.of(new RouteVariant("medical", 90), new RouteVariant("formal:0.5", 10)))));
        }
        if (eventTime) {
            builder.eventTime();
        }
        builder.build().sinkTo(CommittedSink.create());
        JobClient job = env.executeAsync();

        Await.until("both adapters in memory", () -> leases.engines().stream().anyMatch(PrefetchIT::hasBoth));
        leases.openGate();
        job.getJobExecutionResult().get();
    }

    private static boolean hasBoth(InferenceEngine engine) {
        return engine.adapters().stream()
                .filter(LoadedAdapter::resident)
                .map(LoadedAdapter::name)
                .toList()
                .equals(List.of("formal", "medical"));
    }

    private <T> DataStream<T> stream(Class<T> type, T element) {
        return env.fromData(List.of(element), type == Ticket.class ? Types.POJO(type) : TypeInformation.of(type))
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<T>forMonotonousTimestamps().withTimestampAssigner((timed, time) -> 0));
    }
}
