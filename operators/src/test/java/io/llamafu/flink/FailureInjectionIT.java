package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

import static org.assertj.core.api.Assertions.assertThat;

/** The job fails once at each moment of a record's way; afterwards every record was answered exactly once. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class FailureInjectionIT {
    private static final int RECORDS = 120;
    private static final int BEFORE_FAILURE = 20;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
            .setNumberTaskManagers(1)
            .setNumberSlotsPerTaskManager(2)
            .build());

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();
    private final AtomicBoolean failed = new AtomicBoolean();

    /** An error, since exceptions of an engine are outcomes of their record. */
    private void failOnce() {
        if (failed.compareAndSet(false, true)) {
            throw new AssertionError("The failure that the test asked for.");
        }
    }

    @Test
    void beforeARecordIsSubmitted() throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        leases.beforeSubmit(engine -> {
            if (leases.requests().size() >= BEFORE_FAILURE) {
                failOnce();
            }
        });

        execute(leases, new FailOnce<>(ticket -> false));
        assertThat(failed).isTrue();
    }

    @Test
    void whileRecordsWaitForASequence() throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        leases.afterSubmit(engine -> {
            if (leases.requests().size() >= BEFORE_FAILURE && engine.metrics().waitingRequests() > 0) {
                failOnce();
            }
        });

        execute(leases, new FailOnce<>(ticket -> false));
        assertThat(failed).isTrue();
    }

    @Test
    void whileRecordsAreDecoded() throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        leases.afterSubmit(engine -> {
            if (leases.requests().size() >= BEFORE_FAILURE && engine.metrics().activeSequences() > 0) {
                failOnce();
            }
        });

        execute(leases, new FailOnce<>(ticket -> false));
        assertThat(failed).isTrue();
    }

    /** The first record holds back the answers to all others, which are in the checkpoint as questions. */
    @Test
    void afterCompletionsAndBeforeTheyLeave() throws Exception {
        String first = Notes.text(0);
        WatchedLeases leases = WatchedLeases.holding(request -> request.prompt().contains(first));
        FailOnce<Ticket> failure =
                new FailOnce<>(ticket -> leases.answers() >= 10, (Runnable & Serializable) leases::openGate);

        execute(leases, failure);
        assertThat(failure.hasFailed()).isTrue();
        assertThat(leases.requests()).as("answered, lost and asked again").hasSizeGreaterThan(RECORDS);
    }

    @Test
    void duringACheckpoint() throws Exception {
        FailingSnapshot<Ticket> failure = new FailingSnapshot<>();

        execute(WatchedLeases.open(), failure);
        assertThat(failure.hasFailed()).isTrue();
    }

    /** An exception from {@code close} would end the TaskManager. */
    @Test
    void duringTheCloseOfAFailedTask() throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        leases.onClose(() -> {
            failed.set(true);
            throw new IllegalStateException("The failure of close that the test asked for.");
        });
        FailOnce<Ticket> failure = new FailOnce<>(ticket -> leases.requests().size() >= BEFORE_FAILURE);

        execute(leases, failure);
        assertThat(failure.hasFailed()).isTrue();
        assertThat(failed).isTrue();
    }

    private void execute(WatchedLeases leases, RichMapFunction<Ticket, Ticket> failure) throws Exception {
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 2);
        Llamafu.complete(Jobs.tickets(env, RECORDS, 100).map(failure))
                .id(Ticket::id)
                .prompt(Ticket::text)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(Notes.options()
                        .parallelSequences(2)
                        .idleTimeout(Duration.ZERO)
                        .build())
                .capacity(30)
                .ordered()
                .leases(leases)
                .build()
                .sinkTo(sink);
        env.execute();

        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(RECORDS));
        long exact = sink.committed().stream()
                .filter(completion -> Notes.answer(Notes.text(Integer.parseInt(completion.getId())), "medical")
                        .equals(completion.getText()))
                .count();
        assertThat(exact).as("exact answers").isGreaterThanOrEqualTo(RECORDS * 98 / 100);
    }

    /** Fails the second checkpoint, once in all attempts of the job. */
    private static final class FailingSnapshot<T> extends RichMapFunction<T, T>
            implements CheckpointedFunction, CheckpointListener {
        private static final long serialVersionUID = 1L;
        private static final Set<String> FAILED = ConcurrentHashMap.newKeySet();

        private final String name = UUID.randomUUID().toString();
        private boolean checkpointed;

        boolean hasFailed() {
            return FAILED.contains(name);
        }

        @Override
        public T map(T value) {
            return value;
        }

        @Override
        public void initializeState(FunctionInitializationContext context) {}

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws IOException {
            if (checkpointed && FAILED.add(name)) {
                throw new IOException("The failure that the test asked for.");
            }
        }

        @Override
        public void notifyCheckpointComplete(long checkpointId) {
            checkpointed = true;
        }
    }
}
