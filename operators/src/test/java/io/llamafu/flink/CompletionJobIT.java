package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.Collector;
import org.apache.flink.util.ExceptionUtils;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.groups.Tuple.tuple;

/** Whole jobs on the real model: RocksDB, checkpoints, a transactional sink, no Kryo. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class CompletionJobIT {
    private static final List<String> DOMAINS = List.of("medical", "legal", "finance");

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(6);

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();
    private StreamExecutionEnvironment env;

    @BeforeEach
    void environment() {
        env = environment(2);
    }

    private static StreamExecutionEnvironment environment(int parallelism) {
        return Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), parallelism);
    }

    /**
     * Tenants start with one domain, and in the middle of the stream every other one switches to the next, with
     * 'formal'.
     */
    @Test
    void failureLosesAndDuplicatesNothing() throws Exception {
        int records = 400;
        ArrayList<AdapterRoute> changes = new ArrayList<>();
        for (int tenant = 0; tenant < 8; tenant++) {
            changes.add(new AdapterRoute("tenant-" + tenant, stackAt(tenant, 0), 0L, null));
            changes.add(new AdapterRoute("tenant-" + tenant, stackAt(tenant, records / 2), records / 2L, null));
        }
        FailOnce<Completion> failure = new FailOnce<>(completion -> Integer.parseInt(completion.getId()) > records / 3);

        Llamafu.complete(tickets(records, 200))
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(env.fromData(TypeInformation.of(AdapterRoute.class), changes.toArray(new AdapterRoute[0]))
                        .assignTimestampsAndWatermarks(WatermarkStrategy.<AdapterRoute>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.getValidFrom())))
                .eventTime()
                .with(Notes.options().build())
                .build()
                .map(failure)
                .sinkTo(sink);
        env.execute();

        assertThat(failure.hasFailed()).isTrue();
        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(records));
        int exact = 0;
        for (Completion completion : sink.committed()) {
            int id = Integer.parseInt(completion.getId());
            String stack = stackAt(id % 8, id);
            assertThat(completion.getStack()).as("stack of record %s", id).isEqualTo(stack);
            assertThat(completion.getAdapters())
                    .extracting(ResolvedAdapter::getName)
                    .containsExactly(stack.split("\\+"));
            assertThat(completion.getAdapters())
                    .allMatch(adapter -> adapter.getDigest().matches("[0-9a-f]{64}"));
            assertThat(completion.getEventTime()).isEqualTo(id);
            exact += Notes.answer(Notes.text(id), stack).equals(completion.getText()) ? 1 : 0;
        }
        assertThat(exact).as("exact answers of %s", records).isGreaterThanOrEqualTo(records * 98 / 100);
    }

    private static String stackAt(int tenant, int time) {
        boolean changed = time >= 200 && tenant % 2 == 0;
        return changed ? DOMAINS.get((tenant + 1) % 3) + "+formal" : DOMAINS.get(tenant % 3);
    }

    /**
     * A record is held in the engine while its tenant's route changes; both are in the checkpoint that the job restarts
     * from. One step is emitted per checkpoint, so that their order is certain.
     */
    @Test
    void replayedElementsKeepTheirStack() throws Exception {
        String note = Notes.text(0);
        WatchedLeases leases = WatchedLeases.closed();
        List<Tuple3<String, String, String>> steps = List.of(
                Tuple3.of("route", "a", "medical"),
                Tuple3.of("record", "1", note),
                Tuple3.of("route", "a", "legal"),
                Tuple3.of("fail", "", ""),
                Tuple3.of("record", "2", note));
        StreamExecutionEnvironment single = environment(1);
        FailOnce<Tuple3<String, String, String>> failure =
                new FailOnce<>(step -> step.f0.equals("fail"), (Runnable & Serializable) leases::openGate);
        ArrayList<Tuple3<String, String, String>> serializableSteps = new ArrayList<>(steps);
        DataStream<Tuple3<String, String, String>> source = single.fromSource(
                        new DataGeneratorSource<>(
                                index -> serializableSteps.get(index.intValue()),
                                steps.size(),
                                RateLimiterStrategy.perCheckpoint(1),
                                Types.TUPLE(Types.STRING, Types.STRING, Types.STRING)),
                        WatermarkStrategy.noWatermarks(),
                        "steps")
                .map(failure)
                .returns(Types.TUPLE(Types.STRING, Types.STRING, Types.STRING));

        new CompletionBuilder<>(source.filter(step -> step.f0.equals("record")), leases)
                .keyBy(step -> "a")
                .id(step -> step.f1)
                .prompt(step -> step.f2)
                .routes(source.filter(step -> step.f0.equals("route"))
                        .map(step -> new AdapterRoute(step.f1, step.f2, null, null)))
                .with(Notes.options().build())
                .build()
                .sinkTo(sink);
        single.execute();

        assertThat(failure.hasFailed()).isTrue();
        assertThat(leases.requests())
                .extracting(request -> request.adapters().toString())
                .as("asked before the failure, replayed, and the record after the change")
                .containsExactly("medical", "medical", "legal");
        assertThat(sink.committed())
                .extracting(Completion::getId, Completion::getText)
                .containsExactlyInAnyOrder(
                        tuple("1", Notes.answer(note, "medical")), tuple("2", Notes.answer(note, "legal")));
    }

    /** Records are asked again after the failure, and each was asked of one adapter only. */
    @Test
    void replayedRecordsTakeTheSameVariant() throws Exception {
        int records = 200;
        List<RouteVariant> variants = List.of(new RouteVariant("medical", 50), new RouteVariant("legal", 50));
        AdapterRoute[] canaries = IntStream.range(0, 8)
                .mapToObj(tenant -> new AdapterRoute("tenant-" + tenant, null, 0L, variants))
                .toArray(AdapterRoute[]::new);
        WatchedLeases leases = WatchedLeases.open();
        FailOnce<Completion> failure = new FailOnce<>(completion -> true);

        new CompletionBuilder<>(tickets(records, 200), leases)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::id)
                .routes(env.fromData(TypeInformation.of(AdapterRoute.class), canaries)
                        .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks()))
                .eventTime()
                .with(Notes.options().build())
                .build()
                .map(failure)
                .sinkTo(sink);
        env.execute();

        assertThat(failure.hasFailed()).isTrue();
        assertThat(leases.requests()).hasSizeGreaterThan(records);
        Map<Prompt, Set<AdapterStack>> stacks = leases.requests().stream()
                .collect(Collectors.groupingBy(
                        CompletionRequest::prompt,
                        Collectors.mapping(CompletionRequest::adapters, Collectors.toSet())));
        assertThat(stacks).hasSize(records);
        assertThat(stacks.values()).allSatisfy(asked -> assertThat(asked).hasSize(1));
        assertThat(stacks.values().stream().distinct()).as("variants").hasSize(2);
    }

    /**
     * A record has used the route; then more time passes than it may be idle. That time is doubled until the machine is fast
     * enough for the first record.
     */
    @Test
    void routeOfAnIdleKeyIsForgotten() throws Exception {
        String medical = Notes.answer(Notes.text(0), "medical");
        String legal = Notes.answer(Notes.text(0), "legal");
        Map<String, String> answers;
        Duration idle = Duration.ofMillis(500);
        do {
            idle = idle.multipliedBy(2);
            answers = answersBeforeAndAfter(idle);
            assertThat(answers).containsEntry("after", legal);
        } while (answers.get("before").equals(legal) && idle.compareTo(Duration.ofMinutes(1)) < 0);

        assertThat(answers).containsEntry("before", medical);
    }

    private Map<String, String> answersBeforeAndAfter(Duration idle) throws Exception {
        CommittedSink both = CommittedSink.create();
        StreamExecutionEnvironment single = environment(1);
        SavepointSteps.Streams streams = new SavepointSteps()
                .route("a", "medical", 10)
                .record("a", "before", 15)
                .watermark(20)
                .pause(idle.plusMillis(100))
                .record("a", "after", 25)
                .watermark(30)
                .streams(single);
        Llamafu.complete(streams.tickets())
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(streams.routes())
                .routeTtl(idle)
                .eventTime()
                .defaultRoute(AdapterStack.parse("legal"))
                .with(Notes.options().build())
                .build()
                .sinkTo(both);
        JobClient job = single.executeAsync();
        Await.until("both answers", () -> both.committed().size() == 2);
        job.cancel().get();
        return both.committed().stream().collect(Collectors.toMap(Completion::getId, Completion::getText));
    }

    @Test
    void subtasksAndJobsShareOneEngine() throws Exception {
        WatchedLeases leases = WatchedLeases.closed();
        CommittedSink otherSink = CommittedSink.create();
        StreamExecutionEnvironment other = environment(2);
        JobClient first = answerAll(env, leases, sink).executeAsync();
        JobClient second = answerAll(other, leases, otherSink).executeAsync();
        Await.until("engines of all subtasks", () -> leases.engines().size() == 4);

        assertThat(new HashSet<>(leases.engines()))
                .as("engines of two jobs with two subtasks each")
                .hasSize(1);
        // Engines of other tests are closed after their idle timeout.
        Await.until("one engine", () -> SharedEngines.usage().size() == 1);
        leases.openGate();
        first.getJobExecutionResult().get();
        second.getJobExecutionResult().get();
        assertThat(sink.committed()).hasSize(40);
        assertThat(otherSink.committed()).hasSize(40);
    }

    private StreamExecutionEnvironment answerAll(
            StreamExecutionEnvironment environment, WatchedLeases leases, CommittedSink target) {
        new CompletionBuilder<>(Jobs.tickets(environment, 40, 1000), leases)
                .prompt(Ticket::text)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(Notes.options().build())
                .build()
                .sinkTo(target);
        return environment;
    }

    @ParameterizedTest
    @EnumSource(names = {"NULL", "EMIT"})
    void everyRecordHasOneOutcomeWhateverIsWrongWithIt(OnError onError) throws Exception {
        String note = Notes.text(0);
        DataStream<Ticket> tickets = env.fromData(
                        Types.POJO(Ticket.class),
                        new Ticket("good", "a", note, 0),
                        new Ticket("null key", null, note, 0),
                        new Ticket("null prompt", "a", null, 0),
                        new Ticket("empty prompt", "a", "", 0),
                        new Ticket("unknown adapter", "b", note, 0),
                        new Ticket("too long", "a", note.repeat(100), 0))
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                        .withTimestampAssigner((ticket, time) -> 10));
        Llamafu.complete(tickets)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(env.fromData(
                                TypeInformation.of(AdapterRoute.class),
                                new AdapterRoute("b", "unknown", 0L, null),
                                new AdapterRoute("b", "not:a:stack", 1L, null),
                                new AdapterRoute(null, "medical", 1L, null))
                        .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks()))
                .eventTime()
                .defaultRoute(AdapterStack.parse("medical"))
                .with(Notes.options().onError(onError).build())
                .build()
                .sinkTo(sink);
        env.execute();

        assertThat(sink.committed()).hasSize(6);
        assertOutcome("good", Notes.answer(note, "medical"), null);
        boolean emit = onError == OnError.EMIT;
        assertOutcome("null key", null, emit ? ErrorCode.INVALID_REQUEST : null);
        assertOutcome("null prompt", null, emit ? ErrorCode.INVALID_REQUEST : null);
        assertOutcome("empty prompt", null, emit ? ErrorCode.INVALID_REQUEST : null);
        assertOutcome("unknown adapter", null, emit ? ErrorCode.ADAPTER_NOT_FOUND : null);
        assertOutcome("too long", null, emit ? ErrorCode.PROMPT_TOO_LONG : null);
    }

    private void assertOutcome(String id, String text, ErrorCode code) {
        Completion completion = outcome(id);
        assertThat(completion.getText()).as("text of %s", id).isEqualTo(text);
        assertThat(completion.getErrorCode()).as("code of %s", id).isEqualTo(code == null ? null : code.name());
        assertThat(completion.getError() == null).as("error of %s", id).isEqualTo(code == null);
    }

    private Completion outcome(String id) {
        return sink.committed().stream()
                .filter(candidate -> candidate.getId().equals(id))
                .findFirst()
                .orElseThrow();
    }

    /** Each record has labels of its own, none of which the model was trained on, so that no label is certain. */
    @Test
    void recordsHaveLabelsOfTheirOwn() throws Exception {
        Llamafu.complete(tickets(60, 100_000))
                .id(Ticket::id)
                .prompt(Ticket::text)
                .labels(ticket -> List.of("first of " + ticket.id(), "second of " + ticket.id()))
                .with(Notes.options()
                        .scoring(LabelChoice.Scoring.PATH)
                        .minConfidence(1, "neither")
                        .build())
                .build()
                .sinkTo(sink);
        env.execute();

        assertThat(sink.committed()).hasSize(60).allSatisfy(completion -> {
            String id = completion.getId();
            assertThat(completion.getText()).isEqualTo("neither");
            assertThat(completion.getLabel()).isIn("first of " + id, "second of " + id);
            assertThat(completion.getRunnerUp())
                    .isIn("first of " + id, "second of " + id)
                    .isNotEqualTo(completion.getLabel());
            assertThat(completion.getProbability()).isStrictlyBetween(0.5, 1.0);
        });
    }

    @Test
    void unknownAdapterFailsTheJobByDefault() {
        Llamafu.complete(env.fromData("some text"))
                .prompt(text -> text)
                .defaultRoute(AdapterStack.parse("unknown"))
                .with(Notes.options().build())
                .build()
                .sinkTo(sink);

        assertThatThrownBy(env::execute)
                .satisfies(failure -> assertThat(ExceptionUtils.findThrowable(failure, LlamafuException.class))
                        .hasValueSatisfying(cause -> assertThat(cause.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND)));
        assertThat(sink.committed()).isEmpty();
    }

    /** Answers without end: their sequences are decoded, but not to their last token. */
    @Test
    void recordThatTakesTooLongIsACodedErrorAndIsDecodedNoFurther() throws Exception {
        int sequences = 4;
        int endOfSequence = 2;
        long decoded = 0;
        // a slow machine may need more time for the first token
        for (Duration timeout = Duration.ofMillis(50); decoded == 0; timeout = timeout.multipliedBy(2)) {
            WatchedLeases leases = WatchedLeases.open();
            CommittedSink errors = CommittedSink.create();
            StreamExecutionEnvironment single = environment(1);
            new CompletionBuilder<>(Jobs.tickets(single, 16, 100_000), leases)
                    .prompt(Ticket::text)
                    .with(Notes.options()
                            .model(TinyModel.longModel().toUri().toString())
                            .contextSize(8192)
                            .parallelSequences(sequences)
                            .timeout(timeout)
                            .maxTokens(100_000)
                            .onError(OnError.EMIT)
                            .build())
                    .sampling(SamplingOptions.builder()
                            .logitBias(Map.of(endOfSequence, Float.NEGATIVE_INFINITY))
                            .build())
                    .build()
                    .sinkTo(errors);
            single.execute();

            InferenceEngine engine = leases.engines().get(0);
            decoded = engine.metrics().decoding().generatedTokens();
            assertThat(errors.committed()).hasSize(16).allSatisfy(completion -> assertThat(completion.getErrorCode())
                    .isEqualTo("DEADLINE_EXCEEDED"));
            Await.until("no active sequence", () -> engine.metrics().sequences().active() == 0);
        }
    }

    @Test
    void busyJobIsCancelledWithoutWaitingForItsAnswers() throws Exception {
        WatchedLeases leases = WatchedLeases.open();
        new CompletionBuilder<>(tickets(1_000_000, 100_000), leases)
                .prompt(Ticket::text)
                .with(Notes.options().build())
                .capacity(100)
                .build()
                .sinkTo(sink);
        JobClient job = env.executeAsync();
        Await.until("a busy model", () -> leases.requests().size() > 300);

        job.cancel().get(60, TimeUnit.SECONDS);
        assertThatThrownBy(() -> job.getJobExecutionResult().get(60, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class);
        assertThat(job.getJobStatus().get()).isEqualTo(JobStatus.CANCELED);
        Await.until(
                "no active sequence",
                () -> leases.engines().get(0).metrics().sequences().active() == 0);
    }

    @Test
    void capacityIsTheMostRecordsInFlight() throws Exception {
        int capacity = 3;
        WatchedLeases leases = WatchedLeases.closed();
        StreamExecutionEnvironment single = environment(1);
        new CompletionBuilder<>(Jobs.tickets(single, 60, 1000), leases)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .with(Notes.options().build())
                .capacity(capacity)
                .build()
                .sinkTo(sink);
        JobClient job = single.executeAsync();
        Await.until("as many in flight as may be", () -> leases.requests().size() == capacity);
        leases.openGate();
        job.getJobExecutionResult().get();

        assertThat(leases.mostInFlight()).isEqualTo(capacity);
        assertThat(sink.committed()).extracting(Completion::getId).containsExactlyInAnyOrderElementsOf(Jobs.ids(60));
    }

    @Test
    void orderedKeepsTheOrderOfTheRecords() throws Exception {
        StreamExecutionEnvironment single = environment(1);
        Llamafu.complete(Jobs.tickets(single, 60, 1000))
                .id(Ticket::id)
                .prompt(Ticket::text)
                .with(Notes.options().build())
                .ordered()
                .build()
                .sinkTo(sink);
        single.execute();

        assertThat(sink.committed()).extracting(Completion::getId).containsExactlyElementsOf(Jobs.ids(60));
    }

    /** Unordered completions overtake each other, but no watermark. */
    @Test
    void timestampsAndWatermarksPass() throws Exception {
        List<String> outOfStep = Llamafu.complete(tickets(200, 400))
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .with(Notes.options().build())
                .build()
                .process(new OutOfStep())
                .executeAndCollect(1000);

        assertThat(outOfStep).hasSize(200).containsOnly("in step");
    }

    private static final class OutOfStep extends ProcessFunction<Completion, String> {
        private static final long serialVersionUID = 1L;

        @Override
        public void processElement(Completion completion, Context context, Collector<String> out) {
            boolean inStep = context.timestamp().equals(completion.getEventTime())
                    && context.timerService().currentWatermark() < context.timestamp()
                    && completion.getKey().equals("tenant-" + completion.getEventTime() % 8);
            out.collect(inStep ? "in step" : completion + " at " + context.timestamp());
        }
    }

    private DataStream<Ticket> tickets(int records, double perSecond) {
        return Jobs.tickets(env, records, perSecond);
    }
}
