package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.RequestOnly;
import io.llamafu.flink.routing.RequestSampling;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.flink.routing.Samplings;
import io.llamafu.flink.routing.WithRecord;
import io.llamafu.testing.LoggedMessages;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.datastream.AsyncDataStream.OutputMode;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

import static org.apache.flink.streaming.api.datastream.AsyncDataStream.OutputMode.ORDERED;
import static org.apache.flink.streaming.api.datastream.AsyncDataStream.OutputMode.UNORDERED;
import static org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox.MIN_PRIORITY;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Timeout(60)
class CompletionOperatorTest {
    /** Of records and watermarks. */
    private static final int CAPACITY = 4;

    private static final int MAX_PARALLELISM = 8;
    private static final Duration TIMEOUT = Duration.ofSeconds(7);
    private static final long PATIENCE = EngineClient.patience(TIMEOUT).toMillis();

    private final List<OneInputStreamOperatorTestHarness<?, ?>> opened = new ArrayList<>();

    /** A subtask of the operator, with its own engine. */
    private static final class Subtask {
        private final ScriptedEngine engine = new ScriptedEngine();
        private final OneInputStreamOperatorTestHarness<RoutedRequest, Completion> harness;

        Subtask(OutputMode mode, int parallelism, int index) throws Exception {
            harness = harness(new RequestOnly<>(), engine, mode, parallelism, index);
        }

        void record(String id, long time) throws Exception {
            record(request(id, "medical"), time);
        }

        void record(RoutedRequest request, long time) throws Exception {
            harness.processElement(request, time);
        }

        void answer(int... indexes) {
            for (int index : indexes) {
                engine.answer(index, "answer " + index);
            }
        }

        /** The output so far, records by id and time. */
        List<String> output() throws Exception {
            runMails();
            return harness.getOutput().stream()
                    .map(element -> element instanceof Watermark watermark
                            ? "watermark " + watermark.getTimestamp()
                            : idAndTime((StreamRecord<?>) element))
                    .toList();
        }

        void runMails() throws Exception {
            Optional<Mail> mail = harness.getTaskMailbox().tryTake(MIN_PRIORITY);
            while (mail.isPresent()) {
                mail.get().run();
                mail = harness.getTaskMailbox().tryTake(MIN_PRIORITY);
            }
        }

        private static String idAndTime(StreamRecord<?> record) {
            return "%s at %d".formatted(((Completion) record.getValue()).getId(), record.getTimestamp());
        }

        OperatorSubtaskState snapshot() throws Exception {
            return harness.snapshot(1, 1);
        }
    }

    private static <E, R> OneInputStreamOperatorTestHarness<E, R> harness(
            Carrier<?, E, R> carrier, ScriptedEngine engine, OutputMode mode, int parallelism, int index)
            throws Exception {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("base.gguf")
                .timeout(TIMEOUT)
                .onError(OnError.EMIT)
                .build();
        OneInputStreamOperatorTestHarness<E, R> harness = new OneInputStreamOperatorTestHarness<>(
                new CompletionOperatorFactory<>(
                        new CompletionFunction<>(
                                carrier, options, SamplingOptions.greedy(), engineOptions -> engine.lease()),
                        new CompletionOperatorFactory.Settings(
                                mode == ORDERED, CAPACITY, EngineClient.patience(TIMEOUT))),
                MAX_PARALLELISM,
                parallelism,
                index);
        harness.getStreamConfig()
                .setupNetworkInputs(carrier.elementType().createSerializer(new SerializerConfigImpl()));
        harness.getStreamConfig().serializeAllConfigs();
        return harness;
    }

    private Subtask open(OutputMode mode) throws Exception {
        Subtask subtask = new Subtask(mode, 1, 0);
        subtask.harness.open();
        opened.add(subtask.harness);
        return subtask;
    }

    /** All subtasks of a job that continues from a savepoint, or starts without state if that is empty. */
    private List<Subtask> open(int parallelism, List<Subtask> before) throws Exception {
        return open(UNORDERED, parallelism, before);
    }

    private List<Subtask> open(OutputMode mode, int parallelism, List<Subtask> before) throws Exception {
        OperatorSubtaskState[] states = new OperatorSubtaskState[before.size()];
        for (int index = 0; index < states.length; index++) {
            states[index] = before.get(index).snapshot();
        }
        List<Subtask> after = new ArrayList<>();
        for (int index = 0; index < parallelism; index++) {
            Subtask subtask = new Subtask(mode, parallelism, index);
            if (states.length > 0) {
                subtask.harness.initializeState(AbstractStreamOperatorTestHarness.repartitionOperatorState(
                        AbstractStreamOperatorTestHarness.repackageState(states),
                        MAX_PARALLELISM,
                        states.length,
                        parallelism,
                        index));
            }
            subtask.harness.open();
            opened.add(subtask.harness);
            after.add(subtask);
        }
        return after;
    }

    @AfterEach
    void close() throws Exception {
        for (OneInputStreamOperatorTestHarness<?, ?> harness : opened) {
            harness.close();
        }
    }

    private static RoutedRequest request(String id, String stack) {
        return RoutedRequest.newBuilder()
                .setId(id)
                .setKey("tenant")
                .setPrompt("prompt of " + id)
                .setStack(stack)
                .build();
    }

    @Test
    void orderedKeepsTheOrderOfTheRecords() throws Exception {
        Subtask subtask = open(ORDERED);
        subtask.record("a", 10);
        subtask.record("b", 20);

        subtask.answer(1);
        assertThat(subtask.output()).isEmpty();
        subtask.answer(0);
        assertThat(subtask.output()).containsExactly("a at 10", "b at 20");
    }

    @Test
    void unorderedAnswerLeavesAtOnceAndAWatermarkAfterAllRecordsBeforeIt() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.record("a", 10);
        subtask.record("b", 20);
        subtask.harness.processWatermark(25);
        subtask.record("c", 30);

        subtask.answer(2);
        assertThat(subtask.output()).containsExactly("c at 30");
        subtask.answer(1);
        assertThat(subtask.output()).containsExactly("c at 30", "b at 20");
        subtask.answer(0);
        assertThat(subtask.output()).containsExactly("c at 30", "b at 20", "a at 10", "watermark 25");
    }

    @Test
    void orderedKeepsWatermarksAmongTheRecords() throws Exception {
        Subtask subtask = open(ORDERED);
        subtask.record("a", 10);
        subtask.harness.processWatermark(15);
        subtask.record("b", 20);
        subtask.harness.processWatermark(25);

        subtask.answer(1);
        assertThat(subtask.output()).isEmpty();
        subtask.answer(0);
        assertThat(subtask.output()).containsExactly("a at 10", "watermark 15", "b at 20", "watermark 25");
    }

    @Test
    void watermarkWithoutRecordsBeforeItPassesAtOnce() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.harness.processWatermark(5);
        subtask.record("a", 10);
        subtask.harness.processWatermark(15);
        subtask.harness.processWatermark(16);
        assertThat(subtask.output()).containsExactly("watermark 5");

        subtask.answer(0);
        assertThat(subtask.output()).containsExactly("watermark 5", "a at 10", "watermark 16");
    }

    /** Flink drops the watermarks of an idle operator. */
    @Test
    void inputThatGoesIdleHoldsNoWatermarkUp() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.record("a", 10);
        subtask.harness.processWatermark(15);
        subtask.harness.processWatermarkStatus(WatermarkStatus.IDLE);
        assertThat(subtask.harness.getOutput()).isEmpty();

        subtask.answer(0);
        subtask.runMails();
        assertThat(subtask.harness.getOutput())
                .endsWith(new Watermark(15), WatermarkStatus.IDLE)
                .hasSize(3);
    }

    /** Finished records take no capacity: a long answer followed by watermarks does not leave the engine idle. */
    @Test
    void longAnswerBeforeWatermarksDoesNotStarveTheEngine() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.record("long", 0);
        int records = 50 * CAPACITY;
        for (int record = 1; record <= records; record++) {
            subtask.harness.processWatermark(record - 1);
            subtask.record("r" + record, record);
            subtask.answer(record);
        }

        assertThat(subtask.engine.requests()).hasSize(records + 1);
        assertThat(subtask.output()).hasSize(records).noneMatch(element -> element.startsWith("watermark"));
        subtask.answer(0);
        assertThat(subtask.output()).endsWith("long at 0", "watermark " + (records - 1));
    }

    @Test
    void operatorOfAJobWithAlignedCheckpointsWarns() throws Exception {
        try (LoggedMessages messages = new LoggedMessages(AlignedCheckpoints.class.getName())) {
            open(UNORDERED);
            assertThat(messages.all()).as("no checkpoints").isEmpty();

            Subtask aligned = new Subtask(UNORDERED, 1, 0);
            opened.add(aligned.harness);
            aligned.harness
                    .getEnvironment()
                    .getJobConfiguration()
                    .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(10));
            aligned.harness.open();

            assertThat(messages.all())
                    .singleElement()
                    .asString()
                    .startsWith("WARN The checkpoints of this job are aligned");
        }
    }

    /** The record waits in the operator until a finished answer has been emitted. */
    @Test
    void recordBeyondTheCapacityWaitsForAnAnswer() throws Exception {
        Subtask subtask = open(UNORDERED);
        for (int record = 0; record < CAPACITY; record++) {
            subtask.record("r" + record, record);
        }
        subtask.answer(1);
        assertThat(subtask.harness.getOutput()).isEmpty();

        subtask.record("next", CAPACITY);

        assertThat(subtask.harness.getOutput()).hasSize(1);
        assertThat(subtask.engine.requests()).hasSize(CAPACITY + 1);
    }

    @Test
    void recordThatTheEngineDoesNotAnswerAtAllIsGivenUp() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.record("a", 10);

        subtask.harness.setProcessingTime(PATIENCE - 1);
        assertThat(subtask.output()).isEmpty();
        subtask.harness.setProcessingTime(PATIENCE);

        assertThat(subtask.output()).containsExactly("a at 10");
        assertThat(subtask.harness.extractOutputValues().get(0).getErrorCode()).isEqualTo("DEADLINE_EXCEEDED");
        assertThat(subtask.engine.answer(0)).isCancelled();
    }

    /** It waits for others, and the engine will end it itself. */
    @Test
    void recordOfAnEngineThatIsAtWorkIsNotGivenUp() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.engine.attended();
        subtask.record("a", 10);

        subtask.harness.setProcessingTime(20 * PATIENCE);
        assertThat(subtask.output()).isEmpty();
        subtask.engine.unattended();
        subtask.harness.setProcessingTime(22 * PATIENCE);

        assertThat(subtask.output()).containsExactly("a at 10");
        assertThat(subtask.harness.extractOutputValues().get(0).getErrorCode()).isEqualTo("DEADLINE_EXCEEDED");
    }

    @Test
    void closeOfAnOperatorThatWasNeverOpenedDoesNotThrow() throws Exception {
        Subtask subtask = new Subtask(UNORDERED, 1, 0);
        subtask.harness.setup();

        assertThatCode(subtask.harness::close).doesNotThrowAnyException();
    }

    @Test
    void endOfTheInputWaitsForEveryAnswer() throws Exception {
        Subtask subtask = open(UNORDERED);
        subtask.record("a", 10);
        subtask.record("b", 20);
        subtask.answer(1, 0);
        assertThat(subtask.harness.getOutput()).isEmpty();

        subtask.harness.endInput();

        assertThat(subtask.harness.getOutput()).hasSize(2);
    }

    /** With all fields of the record; answers that were not emitted are asked for again too. */
    @Test
    void recordsInFlightAreAskedAgainAsTheyWere() throws Exception {
        RoutedRequest own = request("own", "medical+formal");
        own.setScales(Map.of("formal", 0.5f));
        own.setSampling(
                new RequestSampling(0.5f, 40, 0.9f, 0.1f, 1f, false, 5f, 0.1f, 1f, 0f, 0f, 64, 7, List.of(), ""));
        own.setMaxTokens(3);
        List<Subtask> before = open(1, List.of());
        before.get(0).record(own, 10);
        before.get(0).record("answered", 20);
        before.get(0).answer(1);

        Subtask after = open(1, before).get(0);

        assertThat(after.engine.requests())
                .extracting(request -> request.prompt().toString())
                .containsExactlyInAnyOrder("prompt of own", "prompt of answered");
        assertThat(after.engine.requests()).anySatisfy(request -> {
            assertThat(request.adapters()).isEqualTo(AdapterStack.parse("medical+formal:0.5"));
            assertThat(request.sampling()).isEqualTo(Samplings.toOptions(own.getSampling()));
            assertThat(request.maxTokens()).isEqualTo(3);
        });
        after.answer(0, 1);
        assertThat(after.output()).containsExactlyInAnyOrder("own at 10", "answered at 20");
    }

    /** As long as the parallelism stays; see {@link #recordsInFlightAreSharedOutWhenTheParallelismChanges()}. */
    @Test
    void orderedKeepsTheOrderAcrossARestart() throws Exception {
        List<Subtask> before = open(ORDERED, 2, List.of());
        for (int record = 0; record < 6; record++) {
            before.get(record % 2).record("r" + record, record);
        }
        before.get(0).answer(2);

        List<Subtask> after = open(ORDERED, 2, before);

        for (Subtask subtask : after) {
            subtask.answer(2, 1, 0);
        }
        assertThat(after.get(0).output()).containsExactly("r0 at 0", "r2 at 2", "r4 at 4");
        assertThat(after.get(1).output()).containsExactly("r1 at 1", "r3 at 3", "r5 at 5");
    }

    @Test
    void jobsWithAndWithoutTheirRecordsRefuseEachOthersSavepoints() throws Exception {
        Carrier<String, RoutedRequest, Completion> alone = new RequestOnly<>();
        Carrier<String, Tuple2<RoutedRequest, String>, Answered<String>> withRecord = new WithRecord<>(Types.STRING);
        RoutedRequest request = request("a", "medical");

        assertRefuses(savepoint(alone, request), withRecord);
        assertRefuses(savepoint(withRecord, Tuple2.of(request, "a")), alone);
    }

    private <E> OperatorSubtaskState savepoint(Carrier<?, E, ?> carrier, E inFlight) throws Exception {
        OneInputStreamOperatorTestHarness<E, ?> job = harness(carrier, new ScriptedEngine(), UNORDERED, 1, 0);
        opened.add(job);
        job.open();
        job.processElement(inFlight, 10);
        return job.snapshot(1, 1);
    }

    private void assertRefuses(OperatorSubtaskState savepoint, Carrier<?, ?, ?> carrier) throws Exception {
        OneInputStreamOperatorTestHarness<?, ?> job = harness(carrier, new ScriptedEngine(), UNORDERED, 1, 0);
        opened.add(job);

        assertThatThrownBy(() -> job.initializeState(savepoint))
                .isInstanceOfSatisfying(LlamafuException.class, refused -> assertThat(refused.code())
                        .isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContaining("--drain");
    }

    @Test
    void recordsInFlightAreSharedOutWhenTheParallelismChanges() throws Exception {
        List<Subtask> two = open(2, List.of());
        int records = 6;
        for (int record = 0; record < records; record++) {
            two.get(record % 2).record("r" + record, record);
        }
        List<Subtask> three = open(3, two);
        List<Subtask> one = open(1, three.subList(0, 1));

        assertThat(three)
                .allSatisfy(subtask -> assertThat(subtask.engine.requests()).hasSize(2));
        assertThat(three.stream().flatMap(subtask -> subtask.engine.requests().stream()))
                .extracting(request -> request.prompt().toString())
                .containsExactlyInAnyOrderElementsOf(IntStream.range(0, records)
                        .mapToObj(record -> "prompt of r" + record)
                        .toList());
        assertThat(one.get(0).engine.requests())
                .containsExactlyInAnyOrderElementsOf(three.get(0).engine.requests());
    }
}
