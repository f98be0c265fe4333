package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The stack of a record, and the output of what cannot be answered, in whole jobs on the real model. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class StackChoiceIT {
    private static final String NOTE = Notes.text(0);
    private static final SamplingOptions OF_THE_JOB =
            SamplingOptions.builder().grammar("root ::= \"routine, or not?\"").build();
    /** More than any of the jobs has. */
    private static final int MOST_RESULTS = 1000;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(4);

    @TempDir
    static Path folder;

    private StreamExecutionEnvironment env;

    @BeforeEach
    void environment() {
        env = environment(RuntimeExecutionMode.STREAMING);
    }

    private static StreamExecutionEnvironment environment(RuntimeExecutionMode mode) {
        return Jobs.environment(
                Jobs.configuration(folder.resolve("checkpoints")).set(ExecutionOptions.RUNTIME_MODE, mode), 2);
    }

    /** In the order of the documentation; a batch job decides in the same way. */
    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    void recordThenRouteThenRuleThenTheirDefault(RuntimeExecutionMode mode) throws Exception {
        env = environment(mode);
        Map<String, Completion> completions = execute(withRoutesAndRules(
                        routes(
                                new AdapterRoute("routed", "medical", 0L, null),
                                new AdapterRoute("gold-routed", "medical", 0L, null)),
                        rules(
                                new RouteRule("gold", "gold-*", 1, "finance", null, 0L),
                                new RouteRule("all gold", "gold*", 2, "formal", null, 0L),
                                new RouteRule("default", null, 0, "formal", null, 0L)),
                        ticket("own", "routed"),
                        ticket("own base", "gold-1"),
                        ticket("route", "routed"),
                        ticket("route over rule", "gold-routed"),
                        ticket("rule", "gold-1"),
                        ticket("rules' default", "other"))
                .build());

        assertAnswer(completions.get("own"), "legal");
        assertAnswer(completions.get("own base"), "");
        assertAnswer(completions.get("route"), "medical");
        assertAnswer(completions.get("route over rule"), "medical");
        assertAnswer(completions.get("rule"), "finance");
        assertAnswer(completions.get("rules' default"), "formal");
        assertThat(completions).hasSize(6);
        assertThat(completions.values()).allMatch(completion -> completion.getEventTime() == 10);
    }

    @Test
    void defaultRouteIsTheLast() throws Exception {
        Map<String, Completion> completions = execute(withRoutesAndRules(
                        routes(new AdapterRoute("routed", "medical", 0L, null)),
                        rules(new RouteRule("gold", "gold-*", 1, "finance", null, 0L)),
                        ticket("nothing", "other"))
                .build());

        assertAnswer(completions.get("nothing"), "medical+formal");
    }

    private CompletionBuilder<Ticket> withRoutesAndRules(
            DataStream<AdapterRoute> routes, DataStream<RouteRule> rules, Ticket... tickets) {
        return complete(tickets)
                .stack(ticket -> switch (ticket.id()) {
                    case "own" -> "legal";
                    case "own base" -> "";
                    default -> null;
                })
                .routes(routes)
                .rules(rules)
                .eventTime()
                .defaultRoute(AdapterStack.parse("medical+formal"))
                .with(Notes.options().onError(OnError.EMIT).build());
    }

    @Test
    void scalesOfARecordReplaceThoseOfItsStack() throws Exception {
        Map<String, Completion> completions = execute(complete(ticket("half", "a"), ticket("whole", "a"))
                .scales(ticket -> ticket.id().equals("half") ? Map.of("medical", 0.5f) : null)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(Notes.options().build())
                .build());

        assertThat(completions.get("half").getText()).isEqualTo(Notes.answer(NOTE, "medical:0.5"));
        assertThat(completions.get("half").getAdapters())
                .extracting(ResolvedAdapter::getScale)
                .containsExactly(0.5f);
        assertThat(completions.get("whole").getText()).isEqualTo(Notes.answer(NOTE, "medical"));
    }

    /** The same prompts, asked one after the other of a new engine, so that not a bit differs. */
    @Test
    void recordSaysHowItsTokensAreChosenAndHowMany() throws Exception {
        LlamafuOptions options = Notes.options()
                .parallelSequences(1)
                .maxTokens(20)
                .idleTimeout(Duration.ofMillis(1))
                .build();
        Ticket[] tickets = Stream.of("as the job", "greedy", "hot 1", "hot 2", "hot 1 again", "short hot 1")
                .map(id -> ticket(id, "a"))
                .toArray(Ticket[]::new);
        env.setParallelism(1);
        Map<String, Completion> completions = execute(complete(tickets)
                .sampling(OF_THE_JOB)
                .sampling(StackChoiceIT::sampling)
                .maxTokens(StackChoiceIT::maxTokens)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(options)
                .ordered()
                .capacity(1)
                .build());

        Map<String, String> alone = new HashMap<>();
        try (InferenceEngine engine = LlamaCppEngine.open(options.toEngineOptions())) {
            for (Ticket ticket : tickets) {
                alone.put(
                        ticket.id(), engine.submit(alone(options, ticket)).get().text());
            }
        }
        assertThat(completions).hasSize(tickets.length).allSatisfy((id, completion) -> assertThat(completion.getText())
                .as(id)
                .isEqualTo(alone.get(id)));
        assertThat(alone)
                .containsEntry("as the job", "routine, or not?")
                .containsEntry("greedy", Notes.answer(NOTE, "medical"));
        assertThat(List.of(alone.get("greedy"), alone.get("hot 1"), alone.get("hot 2")))
                .doesNotHaveDuplicates();
        assertThat(completions.get("short hot 1").getGeneratedTokens()).isEqualTo(2);
        assertThat(completions.get("short hot 1").getFinishReason()).isEqualTo("MAX_TOKENS");
    }

    private static SamplingOptions sampling(Ticket ticket) {
        SamplingOptions.Builder hot =
                SamplingOptions.builder().temperature(5).topK(0).topP(1).minP(0);
        return switch (ticket.id()) {
            case "hot 1", "hot 1 again", "short hot 1" -> hot.seed(1).build();
            case "hot 2" -> hot.seed(2).build();
            case "greedy" -> SamplingOptions.greedy();
            default -> null;
        };
    }

    private static Integer maxTokens(Ticket ticket) {
        return ticket.id().startsWith("short") ? 2 : null;
    }

    /** The equivalent request to an engine. */
    private static CompletionRequest alone(LlamafuOptions options, Ticket ticket) {
        SamplingOptions sampling = sampling(ticket);
        Integer maxTokens = maxTokens(ticket);
        return CompletionRequest.of(TinyModel.prompt(ticket.text()), AdapterStack.parse("medical"))
                .withSampling(sampling == null ? OF_THE_JOB : sampling)
                .withMaxTokens(maxTokens == null ? options.maxTokens() : maxTokens);
    }

    /** The same ids always take the same variants, so the count is exact. */
    @Test
    void canaryAnswersItsShareInEveryRun() throws Exception {
        AdapterRoute canary = new AdapterRoute(
                "a", null, 0L, List.of(new RouteVariant("medical", 90), new RouteVariant("legal", 10)));
        Ticket[] tickets = Jobs.ids(200).stream().map(id -> ticket(id, "a")).toArray(Ticket[]::new);
        Map<String, Completion> first = execute(canaryJob(canary, tickets));
        env = environment(RuntimeExecutionMode.STREAMING);
        Map<String, Completion> second = execute(canaryJob(canary, tickets));

        assertThat(first).hasSize(200);
        long legal = first.values().stream()
                .filter(completion -> completion.getStack().equals("legal"))
                .count();
        assertThat(legal).isBetween(8L, 34L);
        first.forEach((id, completion) -> {
            assertAnswer(completion, completion.getStack());
            assertThat(second.get(id).getStack()).as("record %s", id).isEqualTo(completion.getStack());
        });
    }

    private DataStream<Completion> canaryJob(AdapterRoute canary, Ticket... tickets) {
        return complete(tickets)
                .routes(routes(canary))
                .eventTime()
                .with(Notes.options().build())
                .build();
    }

    @Test
    @SuppressWarnings("try") // close of Flink's iterator may be interrupted
    void deadLettersBringTheirRecordAndRejectedRoutesTheirReason() throws Exception {
        CompletionStreams<Ticket> streams = complete(
                        ticket("good", "a"),
                        new Ticket("null prompt", "a", null, 10),
                        new Ticket("null key", null, NOTE, 10),
                        ticket("wrong scale", "b"),
                        ticket("not in stack", "own"))
                .stack(ticket -> ticket.id().equals("not in stack") ? "typo" : null)
                .scales(ticket -> ticket.id().equals("wrong scale") ? Map.of("typo", 1f) : null)
                .routes(routes(
                        new AdapterRoute("a", "medical", 0L, null),
                        new AdapterRoute("a", "typo", 5L, null),
                        new AdapterRoute("b", "x:y:z", 5L, null)))
                .rules(rules(new RouteRule("r", "*", 0, "medical+unknown", null, 0L)))
                .eventTime()
                .unknownAdapters(UnknownAdapters.REJECT_CHANGE)
                .defaultRoute(AdapterStack.parse("legal"))
                .with(Notes.options().onError(OnError.EMIT).build())
                .buildStreams();
        try (CloseableIterator<Answered<Ticket>> answered = streams.answered().collectAsync();
                CloseableIterator<Answered<Ticket>> deadLetters =
                        streams.deadLetters().collectAsync();
                CloseableIterator<RejectedRoute> rejectedRoutes =
                        streams.rejectedRoutes().orElseThrow().collectAsync()) {
            env.execute();

            assertThat(all(answered)).singleElement().satisfies(good -> {
                assertThat(good.record().id()).isEqualTo("good");
                assertAnswer(good.completion(), "medical");
            });
            assertThat(all(deadLetters).stream()
                            .collect(Collectors.toMap(dead -> dead.record().id(), dead -> dead.completion()
                                    .getErrorCode())))
                    .isEqualTo(Map.of(
                            "null prompt", "INVALID_REQUEST",
                            "null key", "INVALID_REQUEST",
                            "wrong scale", "INVALID_REQUEST",
                            "not in stack", "ADAPTER_NOT_FOUND"));
            assertThat(all(rejectedRoutes).stream()
                            .collect(Collectors.toMap(
                                    rejected -> rejected.getRule() == null
                                            ? rejected.getChange().getStack()
                                            : rejected.getRule().getName(),
                                    RejectedRoute::getErrorCode)))
                    .isEqualTo(Map.of(
                            "typo", "ADAPTER_NOT_FOUND",
                            "x:y:z", "INVALID_REQUEST",
                            "r", "ADAPTER_NOT_FOUND"));
        }
    }

    @Test
    void recordsComeOutBesideTheirCompletions() throws Exception {
        List<Answered<Ticket>> answered = complete(ticket("1", "a"), ticket("2", "b"))
                .defaultRoute(AdapterStack.parse("medical"))
                .with(Notes.options().build())
                .buildWithRecords()
                .executeAndCollect(MOST_RESULTS);

        assertThat(answered).hasSize(2).allSatisfy(one -> {
            assertThat(one.record().id()).isEqualTo(one.completion().getId());
            assertThat(one.record().tenant()).isEqualTo(one.completion().getKey());
            assertThat(one.record().text()).isEqualTo(NOTE);
            assertThat(one.completion().getText()).isEqualTo(Notes.answer(NOTE, "medical"));
        });
    }

    private CompletionBuilder<Ticket> complete(Ticket... tickets) {
        DataStream<Ticket> records = env.fromData(Types.POJO(Ticket.class), tickets)
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                        .withTimestampAssigner((ticket, time) -> ticket.time));
        return Llamafu.complete(records).keyBy(Ticket::tenant).id(Ticket::id).prompt(Ticket::text);
    }

    private static Ticket ticket(String id, String tenant) {
        return new Ticket(id, tenant, NOTE, 10);
    }

    private DataStream<AdapterRoute> routes(AdapterRoute... routes) {
        return env.fromData(TypeInformation.of(AdapterRoute.class), routes)
                .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks());
    }

    private DataStream<RouteRule> rules(RouteRule... rules) {
        return env.fromData(TypeInformation.of(RouteRule.class), rules)
                .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks());
    }

    private static Map<String, Completion> execute(DataStream<Completion> completions) throws Exception {
        return completions.executeAndCollect(MOST_RESULTS).stream()
                .collect(Collectors.toMap(Completion::getId, Function.identity()));
    }

    private static <V> List<V> all(CloseableIterator<V> results) {
        List<V> all = new ArrayList<>();
        results.forEachRemaining(all::add);
        return all;
    }

    private static void assertAnswer(Completion completion, String stack) {
        assertThat(completion.getStack()).isEqualTo(stack);
        assertThat(completion.getText()).isEqualTo(Notes.answer(NOTE, stack));
        assertThat(completion.getAdapters())
                .extracting(ResolvedAdapter::getName)
                .isEqualTo(AdapterStack.parse(stack).entries().stream()
                        .map(AdapterStack.Entry::name)
                        .toList());
    }
}
