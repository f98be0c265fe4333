package io.llamafu.flink;

import io.llamafu.testing.Await;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;

/** Jobs whose source is far ahead of the model, with the settings that the guide recommends. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class BacklogIT {
    private static final int ANSWERS_PER_SECOND = 100;
    private static final int CAPACITY = 16;
    private static final int FAILURES = 3;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
            .setNumberTaskManagers(1)
            .setNumberSlotsPerTaskManager(1)
            .setConfiguration(new Configuration().set(TaskManagerOptions.BUFFER_DEBLOAT_ENABLED, true))
            .build());

    @TempDir
    Path folder;

    private final PacedLeases engine = PacedLeases.perSecond(ANSWERS_PER_SECOND);
    private final CommittedSink sink = CommittedSink.create();

    @AfterEach
    void closeEngine() {
        engine.close();
    }

    /** The committed records are those of complete checkpoints. */
    @Test
    void checkpointsPassTheRecordsThatQueue() throws Exception {
        JobClient job = start(Integer.MAX_VALUE, value -> {});

        int before = 0;
        for (int checkpoints = 0; checkpoints < 5; checkpoints++) {
            int seen = before;
            Await.until("another checkpoint", () -> sink.committed().size() > seen);
            before = sink.committed().size();
        }

        assertThat(job.getJobStatus().get()).isEqualTo(JobStatus.RUNNING);
        job.cancel().get();
    }

    @Test
    void savepointWaitsForWhatIsBufferedOnly() throws Exception {
        JobClient job = start(Integer.MAX_VALUE, value -> {});
        // until the buffers have adapted their size
        Await.until("answers", () -> engine.answers() >= 15L * ANSWERS_PER_SECOND);

        long start = System.nanoTime();
        long answersBefore = engine.answers();
        String savepoint = job.stopWithSavepoint(false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
                .get();
        long waitedFor = engine.answers() - answersBefore;

        System.out.printf(
                "stop with savepoint under a backlog: %d records answered first, %d ms%n",
                waitedFor, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        assertThat(savepoint).isNotBlank();
        assertThat(waitedFor).isLessThan(20L * ANSWERS_PER_SECOND);
    }

    /** The sink is chained to the completion operator: the only subtask of each is one task. */
    @Test
    void recordsThatQueuedSurviveFailures() throws Exception {
        int records = 1_200;
        AtomicInteger failed = new AtomicInteger();
        JobClient job = start(records, value -> {
            int next = failed.get() + 1;
            if (next <= FAILURES && sink.committed().size() > next * records / (FAILURES + 2)) {
                failed.incrementAndGet();
                throw new IllegalStateException("A failure that the test asked for.");
            }
        });

        job.getJobExecutionResult().get();

        assertThat(failed).hasValue(FAILURES);
        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(records));
    }

    /** Applied to the answers before they are written. */
    private interface Harm {
        void before(Completion completion);
    }

    private static final Map<String, Harm> HARMS = new ConcurrentHashMap<>();

    private JobClient start(int records, Harm harm) throws Exception {
        String name = sink.name();
        HARMS.put(name, harm);
        Configuration configuration = Llamafu.recommended(Jobs.configuration(folder.resolve("checkpoints")));
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, FAILURES);
        StreamExecutionEnvironment env = Jobs.environment(configuration, 1);
        GeneratorFunction<Long, Ticket> tickets =
                index -> new Ticket(String.valueOf(index), "tenant-" + index % 8, "x".repeat(200), index);
        new CompletionBuilder<>(
                        env.fromSource(
                                        new DataGeneratorSource<>(tickets, records, Types.POJO(Ticket.class)),
                                        WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                                                .withTimestampAssigner((value, time) -> value.time),
                                        "tickets")
                                .keyBy(Ticket::tenant)
                                .filter(ticket -> true)
                                .keyBy(Ticket::tenant)
                                .filter(ticket -> true),
                        engine)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .with(Notes.options().build())
                .capacity(CAPACITY)
                .build()
                .map(completion -> {
                    HARMS.get(name).before(completion);
                    return completion;
                })
                .returns(Completion.class)
                .sinkTo(sink)
                .uid("sink");
        return env.executeAsync();
    }
}
