package io.llamafu.flink;

import io.llamafu.testing.Await;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;

/** Jobs that are stopped with a savepoint. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SavepointIT {
    private static final List<String> STACKS = List.of("medical", "legal", "finance", "");

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(3);

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();

    @BeforeEach
    void reset() {
        CountingMap.COUNT.set(0);
    }

    @Test
    void parallelismChangesAcrossSavepoints() throws Exception {
        String savepoint = stop(start(2, null), false);
        savepoint = stop(start(3, savepoint), false);
        stop(start(1, savepoint), true);

        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(CountingMap.COUNT.get()));
        assertThat(sink.committed()).allSatisfy(completion -> {
            int id = Integer.parseInt(completion.getId());
            assertThat(completion.getStack()).as("record %s", id).isEqualTo(STACKS.get(id % 8 % 4));
        });
    }

    /** Each tenant's first record brings its route. The input has no end that a slow machine could reach too early. */
    private JobClient start(int parallelism, String savepoint) throws Exception {
        Configuration configuration = Jobs.configuration(folder.resolve("checkpoints"));
        if (savepoint != null) {
            configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, savepoint);
        }
        StreamExecutionEnvironment env = Jobs.environment(configuration, parallelism);
        DataStream<Ticket> tickets =
                Jobs.tickets(env, Integer.MAX_VALUE, 150).map(new CountingMap()).setParallelism(1);
        Llamafu.complete(tickets)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(tickets.filter(ticket -> ticket.time < 8)
                        .map(ticket -> new AdapterRoute(ticket.tenant, STACKS.get((int) ticket.time % 4), 0L, null)))
                .eventTime()
                .with(Notes.options().build())
                .build()
                .sinkTo(sink)
                .uid("sink");
        return env.executeAsync();
    }

    /** Stops the job after some records of its own. */
    private String stop(JobClient job, boolean drain) throws Exception {
        int before = sink.committed().size();
        Await.until("committed records", () -> sink.committed().size() >= before + 100);
        String savepoint = job.stopWithSavepoint(drain, folder.toUri().toString(), SavepointFormatType.CANONICAL)
                .get();
        job.getJobExecutionResult().get();
        return savepoint;
    }

    /**
     * The router holds all records back, because no watermark comes before the end; then the gate holds their answers
     * back.
     */
    @Test
    void drainAnswersEverythingFirst() throws Exception {
        WatchedLeases leases = WatchedLeases.closed();
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 2);
        DataStream<Ticket> tickets = Jobs.tickets(env, Integer.MAX_VALUE, 100)
                .map(new CountingMap())
                .setParallelism(1)
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Ticket>forBoundedOutOfOrderness(Duration.ofDays(1))
                        .withTimestampAssigner((ticket, time) -> ticket.time));
        new CompletionBuilder<>(tickets, leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(tickets.filter(ticket -> false).map(ticket -> new AdapterRoute("", "", 0L, null)))
                .eventTime()
                .with(Notes.options().build())
                .build()
                .sinkTo(sink);
        JobClient job = env.executeAsync();
        Await.until("records", () -> CountingMap.COUNT.get() >= 50);
        assertThat(leases.requests()).isEmpty();

        CompletableFuture<String> stopped =
                job.stopWithSavepoint(true, folder.toUri().toString(), SavepointFormatType.CANONICAL);
        Await.until("records that the router lets go", () -> !leases.requests().isEmpty());
        leases.openGate();
        stopped.get();
        job.getJobExecutionResult().get();

        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(CountingMap.COUNT.get()));
    }

    /** Counts the records of the source, across the jobs of a test. */
    private static final class CountingMap implements MapFunction<Ticket, Ticket> {
        private static final long serialVersionUID = 1L;
        private static final AtomicInteger COUNT = new AtomicInteger();

        @Override
        public Ticket map(Ticket ticket) {
            COUNT.incrementAndGet();
            return ticket;
        }
    }
}
