package io.llamafu.flink;

import io.llamafu.testing.Await;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.test.junit5.InjectMiniCluster;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;

/** One watermark releases thousands of records, and the engine takes them one by one. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class EventTimeBacklogIT {
    /** They take a minute. */
    private static final int RECORDS = 3000;

    private static final int ANSWERS_PER_SECOND = 50;
    private static final int CHECKPOINTS = 3;

    private static final AtomicInteger READ = new AtomicInteger();
    private static final AtomicBoolean LET_GO = new AtomicBoolean();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(1);

    @TempDir
    static Path folder;

    enum Backlog {
        ROUTES,
        RULES,
        /** The records of a key and a time have one timer. */
        ROUTES_OF_ONE_KEY_AND_TIME,
        RULES_OF_ONE_KEY_AND_TIME,
        /** Nothing is left to read when the records are released. */
        ROUTES_AT_THE_END_OF_THE_INPUT,
        /** Records cross the network to the engine. */
        ROUTES_WITH_AFFINITY
    }

    @BeforeEach
    void reset() {
        READ.set(0);
        LET_GO.set(false);
    }

    @ParameterizedTest
    @EnumSource
    void checkpointsCompleteWhileABacklogIsLetGo(Backlog backlog, @InjectMiniCluster MiniCluster cluster)
            throws Exception {
        PacedLeases leases = PacedLeases.perSecond(ANSWERS_PER_SECOND);
        JobClient job = start(leases, backlog);
        Await.until("records that wait", () -> READ.get() == RECORDS);
        long before = completed(cluster, job);
        Await.until("them in a checkpoint", () -> completed(cluster, job) >= before + 2);
        assertThat(leases.answers()).isZero();

        LET_GO.set(true);
        Await.until("records that go", () -> leases.answers() >= 20);
        long letGo = completed(cluster, job);
        Await.until("checkpoints meanwhile", () -> completed(cluster, job) >= letGo + CHECKPOINTS);

        assertThat(leases.answers()).as("most records still wait").isLessThan(RECORDS);
        job.cancel().get();
        leases.close();
    }

    private static long completed(MiniCluster cluster, JobClient job) throws Exception {
        return cluster.getExecutionGraph(job.getJobID())
                .get()
                .getCheckpointStatsSnapshot()
                .getCounts()
                .getNumberOfCompletedCheckpoints();
    }

    private JobClient start(PacedLeases leases, Backlog backlog) throws Exception {
        boolean oneTime = backlog == Backlog.ROUTES_OF_ONE_KEY_AND_TIME || backlog == Backlog.RULES_OF_ONE_KEY_AND_TIME;
        boolean ends = backlog == Backlog.ROUTES_AT_THE_END_OF_THE_INPUT;
        Configuration configuration = Jobs.configuration(folder.resolve("checkpoints"));
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        StreamExecutionEnvironment env = Jobs.environment(configuration, 1);
        DataStream<Ticket> tickets = env.fromSource(
                new DataGeneratorSource<>(
                        index -> {
                            READ.incrementAndGet();
                            return new Ticket(
                                    String.valueOf(index),
                                    oneTime ? "tenant" : "tenant-" + index % 100,
                                    "text",
                                    oneTime ? 1 : 1 + index / 10);
                        },
                        RECORDS,
                        TypeInformation.of(Ticket.class)),
                WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                        .withTimestampAssigner((ticket, time) -> ticket.time),
                "tickets");
        // Emits nothing until the records are to be released; then its watermark passes all of them, or it ends.
        DataStream<Long> changes = env.fromSource(
                new DataGeneratorSource<>(
                        index -> index,
                        ends ? 200 : Long.MAX_VALUE,
                        RateLimiterStrategy.perSecond(20),
                        TypeInformation.of(Long.class)),
                WatermarkStrategy.forGenerator(context -> new WhenLetGo(ends)),
                "changes");
        CompletionBuilder<Ticket> builder = new CompletionBuilder<>(tickets, leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::id) // all different, or the engine would be asked once
                .eventTime()
                .with(Notes.options().build())
                .capacity(2);
        if (backlog == Backlog.RULES || backlog == Backlog.RULES_OF_ONE_KEY_AND_TIME) {
            builder.rules(
                    changes.filter(index -> index < 0).map(index -> new RouteRule("", null, 0, "medical", null, 0L)));
        } else {
            builder.routes(changes.filter(index -> index < 0).map(index -> new AdapterRoute("", "medical", 0L, null)));
        }
        if (backlog == Backlog.ROUTES_WITH_AFFINITY) {
            builder.affinity(1.25);
        }
        builder.build().sinkTo(new DiscardingSink<>());
        return env.executeAsync();
    }

    private record WhenLetGo(boolean ends) implements WatermarkGenerator<Long> {
        @Override
        public void onEvent(Long index, long time, WatermarkOutput output) {}

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            if (LET_GO.get() && !ends) {
                output.emitWatermark(new Watermark(RECORDS));
            }
        }
    }
}
