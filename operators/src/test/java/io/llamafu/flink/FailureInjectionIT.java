package io.llamafu.flink;

import io.llamafu.engine.InferenceEngine;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * The job fails once at each stage of a record's path, after answers were committed; routes and waiting records are in
 * RocksDB. At the end, the transactional sink has each record exactly once, from the stack of its route.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class FailureInjectionIT {
    private static final int RECORDS = 120;
    private static final int RECORDS_PER_CHECKPOINT = 10;
    private static final int TENANTS = 8;
    private static final int SUBTASKS = 2;
    private static final int SEQUENCES = 2;
    private static final int CAPACITY = 30;
    private static final List<String> STACKS = List.of("medical", "legal", "finance");

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(SUBTASKS);

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();
    private final AtomicBoolean harmed = new AtomicBoolean();

    enum Stage {
        BEFORE_SUBMIT,
        WHILE_QUEUED,
        WHILE_DECODING,
        /** The engine fails with everything in it, as after an error of the model. */
        ENGINE_LOST_WHILE_DECODING,
        AFTER_COMPLETION_BEFORE_EMIT,
        /** The completion operator has stored its records in flight, and the sink its pending commit. */
        DURING_CHECKPOINT,
        /** An exception from {@code close} would end the TaskManager. */
        DURING_CLOSE
    }

    /**
     * The injected failure.
     *
     * @param records applied before routing
     * @param completions applied before the sink
     * @param done whether it has happened
     */
    private record Harm(
            WatchedLeases leases,
            RichMapFunction<Ticket, Ticket> records,
            RichMapFunction<Completion, Completion> completions,
            BooleanSupplier done) {}

    @ParameterizedTest
    @EnumSource(Stage.class)
    void everyRecordIsAnsweredExactlyOnce(Stage stage) throws Exception {
        Harm harm = harm(stage);

        execute(harm);

        assertThat(harm.done().getAsBoolean()).as("harm was done").isTrue();
        assertThat(harm.leases().engines())
                .as("leases of all subtasks, before and after")
                .hasSizeGreaterThanOrEqualTo(2 * SUBTASKS);
        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(RECORDS));
        assertThat(sink.committed()).allSatisfy(completion -> assertThat(completion.getStack())
                .isEqualTo(stack(Integer.parseInt(completion.getId()) % TENANTS)));
        long exact =
                sink.committed().stream().filter(FailureInjectionIT::isExact).count();
        assertThat(exact).as("exact answers").isGreaterThanOrEqualTo(RECORDS * 98 / 100);
    }

    private static boolean isExact(Completion completion) {
        String text = Notes.text(Integer.parseInt(completion.getId()));
        return Notes.answer(text, completion.getStack()).equals(completion.getText());
    }

    private static String stack(int tenant) {
        return STACKS.get(tenant % STACKS.size());
    }

    private Harm harm(Stage stage) {
        return switch (stage) {
            case BEFORE_SUBMIT -> {
                WatchedLeases leases = WatchedLeases.open();
                leases.beforeSubmit(once(engine -> true, engine -> fail()));
                yield toTheEngine(leases);
            }
            case WHILE_QUEUED ->
                afterSubmit(engine -> engine.metrics().requests().waiting() > SEQUENCES, engine -> fail());
            case WHILE_DECODING ->
                afterSubmit(engine -> engine.metrics().sequences().active() > 0, engine -> fail());
            case ENGINE_LOST_WHILE_DECODING ->
                afterSubmit(engine -> engine.metrics().sequences().active() > 0, InferenceEngine::close);
            case AFTER_COMPLETION_BEFORE_EMIT -> {
                // Answers behind the first record wait for it, and are in the checkpoint as requests.
                String first = Notes.text(0);
                WatchedLeases leases = WatchedLeases.holding(
                        request -> request.prompt().toString().contains(first));
                FailOnce<Ticket> failure =
                        new FailOnce<>(ticket -> leases.answers() >= RECORDS_PER_CHECKPOINT, (Runnable & Serializable)
                                leases::openGate);
                yield new Harm(leases, failure, new FailOnce<>(completion -> false), failure::hasFailed);
            }
            case DURING_CHECKPOINT -> {
                FailingSnapshot<Completion> failure = new FailingSnapshot<>();
                yield new Harm(WatchedLeases.open(), new FailOnce<>(ticket -> false), failure, failure::hasFailed);
            }
            case DURING_CLOSE -> {
                WatchedLeases leases = WatchedLeases.open();
                leases.afterSubmit(once(engine -> true, engine -> fail()));
                leases.onClose(() -> {
                    throw new IllegalStateException("The failure of close that the test asked for.");
                });
                yield toTheEngine(leases);
            }
        };
    }

    private Harm afterSubmit(Predicate<InferenceEngine> due, Consumer<InferenceEngine> harm) {
        WatchedLeases leases = WatchedLeases.open();
        leases.afterSubmit(once(due, harm));
        return toTheEngine(leases);
    }

    private Harm toTheEngine(WatchedLeases leases) {
        return new Harm(leases, new FailOnce<>(ticket -> false), new FailOnce<>(completion -> false), harmed::get);
    }

    /** After the first commit, so that the job continues from a checkpoint. */
    private Consumer<InferenceEngine> once(Predicate<InferenceEngine> due, Consumer<InferenceEngine> harm) {
        return engine -> {
            if (!sink.committed().isEmpty() && due.test(engine) && harmed.compareAndSet(false, true)) {
                harm.accept(engine);
            }
        };
    }

    /** An error, because exceptions of an engine are outcomes of their record. */
    private static void fail() {
        throw new AssertionError("The failure that the test asked for.");
    }

    private void execute(Harm harm) throws Exception {
        StreamExecutionEnvironment env = Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), SUBTASKS);
        AdapterRoute[] routes = IntStream.range(0, TENANTS)
                .mapToObj(tenant -> new AdapterRoute("tenant-" + tenant, stack(tenant), 0L, null))
                .toArray(AdapterRoute[]::new);
        new CompletionBuilder<>(
                        Jobs.ticketsByCheckpoint(env, RECORDS, RECORDS_PER_CHECKPOINT)
                                .map(harm.records()),
                        harm.leases())
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(env.fromData(TypeInformation.of(AdapterRoute.class), routes)
                        .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks()))
                .eventTime()
                .with(Notes.options()
                        .parallelSequences(SEQUENCES)
                        .idleTimeout(Duration.ZERO)
                        .build())
                .capacity(CAPACITY)
                .ordered()
                .build()
                .map(harm.completions())
                .sinkTo(sink);
        env.execute();
    }

    /** Fails a checkpoint after the first complete one, once over all attempts of the job. */
    private static final class FailingSnapshot<T> extends RichMapFunction<T, T>
            implements CheckpointedFunction, CheckpointListener {
        private static final long serialVersionUID = 1L;
        private static final Set<String> FAILED = ConcurrentHashMap.newKeySet();

        private final String name = UUID.randomUUID().toString();
        private boolean checkpointed;
        private boolean hasRecords;

        boolean hasFailed() {
            return FAILED.contains(name);
        }

        @Override
        public T map(T value) {
            hasRecords = true;
            return value;
        }

        @Override
        public void initializeState(FunctionInitializationContext context) {}

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws IOException {
            if (checkpointed && hasRecords && FAILED.add(name)) {
                throw new IOException("The failure that the test asked for.");
            }
            hasRecords = false;
        }

        @Override
        public void notifyCheckpointComplete(long checkpointId) {
            checkpointed = true;
        }
    }
}
