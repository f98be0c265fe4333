package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.testutils.CommonTestUtils;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.InjectMiniCluster;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Whole jobs with many adapters, on the real model. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class AffinityJobIT {
    /** So high that no subtask is skipped, because a few hundred records are not an even load. */
    private static final double LOAD_BOUND = 2;

    private static final int ADAPTERS = 80;
    private static final int TENANTS = 3 * ADAPTERS;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(3);

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();

    /** All of them have the same content under different names. */
    @BeforeAll
    static void copyAdapters() throws IOException {
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        for (int index = 0; index < ADAPTERS; index++) {
            Files.copy(TinyModel.adapters().resolve("medical.gguf"), adapters.resolve(adapter(index) + ".gguf"));
        }
    }

    private static String adapter(int index) {
        return "medical-" + index;
    }

    /** The tenants of an adapter are routed in different subtasks; their records meet in one, also after a failure. */
    @Test
    void recordsOfAnAdapterMeetInOneSubtask() throws Exception {
        int records = 480;
        StreamExecutionEnvironment env = environment(3, new Configuration());
        AdapterRoute[] routes = IntStream.range(0, TENANTS)
                .mapToObj(tenant -> new AdapterRoute("tenant-" + tenant, adapter(tenant % ADAPTERS), 0L, null))
                .toArray(AdapterRoute[]::new);
        FailOnce<Completion> failure = new FailOnce<>(completion -> true);

        completion(tickets(env, records, 300))
                .keyBy(Ticket::tenant)
                .routes(env.fromData(TypeInformation.of(AdapterRoute.class), routes)
                        .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks()))
                .eventTime()
                .build()
                .map(new SubtaskAsKey())
                .map(failure)
                .sinkTo(sink);
        env.execute();

        assertThat(failure.hasFailed()).isTrue();
        assertEachIsAnsweredOnce(records);
        Map<String, Set<String>> subtasks = sink.committed().stream()
                .collect(Collectors.groupingBy(
                        Completion::getStack, Collectors.mapping(Completion::getKey, Collectors.toSet())));
        assertThat(subtasks).hasSize(ADAPTERS).allSatisfy((stack, ofStack) -> assertThat(ofStack)
                .as("subtasks of %s", stack)
                .hasSize(1));
        assertThat(subtasks.values().stream().flatMap(Set::stream)).contains("0", "1", "2");
    }

    /** Requests queue before the model, and a checkpoint overtakes them. */
    @Test
    void changeOfParallelismLosesNoRequestOnTheWay(@InjectMiniCluster MiniCluster cluster) throws Exception {
        int records = 2000;
        StreamExecutionEnvironment before = environment(2, new Configuration());
        completion(tickets(before, records, 1000))
                .capacity(1)
                .build()
                .sinkTo(sink)
                .uid("sink");
        JobClient job = before.executeAsync();
        CommonTestUtils.waitForCheckpointWithInflightBuffers(job.getJobID(), cluster);
        job.cancel().get();
        CommonTestUtils.waitForJobStatus(job, List.of(JobStatus.CANCELED));
        CompletedCheckpointStats last = cluster.getExecutionGraph(job.getJobID())
                .get()
                .getCheckpointStatsSnapshot()
                .getHistory()
                .getLatestCompletedCheckpoint();
        assertThat(last.getPersistedData()).as("bytes of requests on the way").isPositive();

        StreamExecutionEnvironment after =
                environment(3, new Configuration().set(StateRecoveryOptions.SAVEPOINT_PATH, last.getExternalPath()));
        completion(tickets(after, records, 1000)).build().sinkTo(sink).uid("sink");
        after.execute();

        assertEachIsAnsweredOnce(records);
    }

    private void assertEachIsAnsweredOnce(int records) {
        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(
                        IntStream.range(0, records).mapToObj(String::valueOf).toList());
    }

    private static CompletionBuilder<Ticket> completion(DataStream<Ticket> tickets) {
        return Llamafu.complete(tickets)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .defaultRoute(AdapterStack.parse(adapter(0)))
                .with(Notes.options()
                        .adapters(folder.resolve("adapters").toString())
                        .threads(1)
                        .build())
                .affinity(LOAD_BOUND);
    }

    private static StreamExecutionEnvironment environment(int parallelism, Configuration configuration) {
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY,
                folder.resolve("checkpoints").toUri().toString());
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(100));
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        configuration.set(
                CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    private static DataStream<Ticket> tickets(StreamExecutionEnvironment env, int records, double perSecond) {
        GeneratorFunction<Long, Ticket> ticket = index ->
                new Ticket(String.valueOf(index), "tenant-" + index % TENANTS, Notes.text(index.intValue()), index);
        return env.fromSource(
                        new DataGeneratorSource<>(
                                ticket, records, RateLimiterStrategy.perSecond(perSecond), Types.POJO(Ticket.class)),
                        WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                                .withTimestampAssigner((value, time) -> value.time),
                        "tickets")
                .uid("tickets")
                .setParallelism(1);
    }

    /** A completion does not report the subtask that answered it. */
    private static final class SubtaskAsKey extends RichMapFunction<Completion, Completion> {
        private static final long serialVersionUID = 1L;

        @Override
        public Completion map(Completion completion) {
            completion.setKey(String.valueOf(getRuntimeContext().getTaskInfo().getIndexOfThisSubtask()));
            return completion;
        }
    }
}
