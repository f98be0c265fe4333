package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/**
 * What every engine promises, whatever computes it. An engine's own test extends this class; a promise that it does not
 * keep is overridden there with the reason, and listed in {@code docs/engines.md}.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class EngineContractTest {
    protected static final String PROMPT = TinyModel.prompt("Patient W99 reports chest pain in a mild form.");
    protected static final AdapterStack MEDICAL = AdapterStack.parse("medical");
    /** Bans the end-of-sequence token of the tiny model, so that an answer runs to its token limit. */
    private static final SamplingOptions ENDLESS = SamplingOptions.builder()
            .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
            .build();

    private InferenceEngine engine;

    /** Opens the engine under test. */
    protected abstract InferenceEngine open(EngineOptions options);

    /** How many of the 3,000 golden answers to ask for, in random order. */
    protected abstract int goldenSample();

    @BeforeAll
    void openEngine() {
        engine = open(TinyModel.options().build());
    }

    @AfterAll
    void closeEngine() {
        engine.close();
    }

    protected final Completion answer(CompletionRequest request) throws Exception {
        return answer(engine, request);
    }

    protected static Completion answer(InferenceEngine anEngine, CompletionRequest request) throws Exception {
        return anEngine.submit(request).get(60, TimeUnit.SECONDS);
    }

    protected static LlamafuException failure(CompletableFuture<Completion> future)
            throws InterruptedException, TimeoutException {
        try {
            Completion unexpected = future.get(60, TimeUnit.SECONDS);
            throw new AssertionError("Expected a failure, but got " + unexpected);
        } catch (ExecutionException e) {
            assertThat(e.getCause()).isInstanceOf(LlamafuException.class);
            return (LlamafuException) e.getCause();
        }
    }

    private ErrorCode code(CompletionRequest request) throws Exception {
        return failure(engine.submit(request)).code();
    }

    private static CompletionRequest endless(int tokens) {
        return CompletionRequest.of(PROMPT, MEDICAL).withSampling(ENDLESS).withMaxTokens(tokens);
    }

    private static void awaitActive(InferenceEngine anEngine, int sequences) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (anEngine.metrics().activeSequences() != sequences) {
            assertThat(System.nanoTime())
                    .as("waiting for %d active sequences", sequences)
                    .isLessThan(deadline);
            Thread.sleep(2);
        }
    }

    @Test
    void tokensOfATextAreThoseOfThePrompt() throws Exception {
        for (String prompt : List.of(PROMPT, "a", "Grüße, 世界 \uD83D\uDE00")) {
            assertThat(engine.countTokens(prompt))
                    .as("tokens of '%s'", prompt)
                    .isEqualTo(answer(CompletionRequest.of(prompt, MEDICAL).withMaxTokens(1))
                            .promptTokens());
        }
        assertThat(engine.countTokens("")).isBetween(0, 1);
        assertThatThrownBy(() -> engine.countTokens("\uD83D"))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_TEXT));
    }

    /** Nearly all are exact with llama-server too, one request at a time; batching may tip a few near ties. */
    @Test
    void everyPromptIsAnsweredByItsOwnStackWhateverElseIsInTheBatch() throws Exception {
        assertGoldenAnswers(TinyModel.options().build());
    }

    protected final void assertGoldenAnswers(EngineOptions options) throws Exception {
        List<Golden> golden = new ArrayList<>(TinyModel.golden());
        assertThat(golden).hasSize(3000);
        Collections.shuffle(golden, new Random(7));
        List<Golden> sample = golden.subList(0, goldenSample());

        int exact = 0;
        try (InferenceEngine fresh = open(options)) {
            List<CompletableFuture<Completion>> answers = new ArrayList<>();
            for (Golden one : sample) {
                answers.add(fresh.submit(
                        CompletionRequest.of(one.prompt(), one.stack()).withMaxTokens(60)));
            }
            for (int i = 0; i < sample.size(); i++) {
                Completion answer = answers.get(i).get(3, TimeUnit.MINUTES);
                exact += answer.text().equals(sample.get(i).expected()) ? 1 : 0;
            }
            assertThat(fresh.metrics().activeSequences()).isZero();
            assertThat(fresh.metrics().completions()).isEqualTo(sample.size());
        }
        assertThat(exact).isGreaterThanOrEqualTo((int) Math.floor(sample.size() * 0.9966));
    }

    @ParameterizedTest
    @ValueSource(strings = {"medical:0", "medical:0+formal:0", "legal:0"})
    void scaleZeroIsTheBaseModel(String stack) throws Exception {
        CompletionRequest request = CompletionRequest.of(PROMPT, AdapterStack.parse(stack));

        assertThat(answer(request).text())
                .isEqualTo(answer(CompletionRequest.of(PROMPT, AdapterStack.base()))
                        .text())
                .isNotEqualTo("cardiology; routine");
    }

    @Test
    void scaleIsBetweenBaseAndAdapter() throws Exception {
        assertThat(answer(CompletionRequest.of(PROMPT, AdapterStack.of("medical", 0.5f)))
                        .text())
                .isEqualTo("perhaps cardiology; routine");
        assertThat(answer(CompletionRequest.of(PROMPT, AdapterStack.of("medical", 1)))
                        .text())
                .isEqualTo("cardiology; routine");
    }

    @Test
    void stackedAdaptersActTogetherInAnyOrder() throws Exception {
        String formal = answer(CompletionRequest.of(PROMPT, AdapterStack.parse("medical+formal")))
                .text();

        assertThat(formal).contains("cardiology").isNotEqualTo("cardiology; routine");
        assertThat(answer(CompletionRequest.of(PROMPT, AdapterStack.parse("formal+medical")))
                        .text())
                .isEqualTo(formal);
    }

    @Test
    void unknownAdapterIsAnErrorThatNamesTheKnownOnes() throws Exception {
        LlamafuException failure = failure(engine.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("nobody"))));

        assertThat(failure.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        assertThat(failure).hasMessageContaining("finance, formal, legal, medical");
    }

    @Test
    void adapterIsAnErrorWithoutAFolderOfThem() throws Exception {
        try (InferenceEngine bare = open(EngineOptions.builder(TinyModel.model())
                .contextSize(128)
                .threads(1)
                .parallelSequences(2)
                .build())) {
            assertThat(failure(bare.submit(CompletionRequest.of(PROMPT, MEDICAL)))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
            assertThat(answer(
                                    bare,
                                    CompletionRequest.of(PROMPT, AdapterStack.base())
                                            .withMaxTokens(5))
                            .generatedTokens())
                    .isPositive();
        }
    }

    @Test
    void adapterThatIsPublishedLaterAnswers(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("legal.gguf"), folder.resolve("legal.gguf"));
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            CompletionRequest request = CompletionRequest.of(PROMPT, AdapterStack.parse("new"));
            assertThat(failure(fresh.submit(request)).code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);

            publish(folder, "medical.gguf", "new");
            Completion first = answer(fresh, request);
            publish(folder, "finance.gguf", "new");
            Thread.sleep(1500);
            Completion second = answer(fresh, request);

            assertThat(first.text()).isEqualTo("cardiology; routine");
            assertThat(second.adapters().get(0).digest())
                    .isNotEqualTo(first.adapters().get(0).digest());
            assertThat(second.text()).isNotEqualTo(first.text());
        }
    }

    @Test
    void stackWithoutAScaleTakesTheDefaultOfTheAdapter(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(folder.resolve("medical.json"), "{\"defaultScale\": 0.5}");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            Completion halved = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));

            assertThat(halved.text()).isEqualTo("perhaps cardiology; routine");
            assertThat(halved.adapters().get(0).scale()).isEqualTo(0.5f);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.of("medical", 1)))
                            .text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    void malformedCardIsAnErrorForRecordsOfItsAdapterOnly(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.copy(TinyModel.adapters().resolve("legal.gguf"), folder.resolve("legal.gguf"));
        Files.writeString(folder.resolve("legal.json"), "{\"defaultScale\": \"high\"}");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, AdapterStack.of("legal", 1))))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_INVALID);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    void adapterThatIsNamedByItsFileAnswers() throws Exception {
        EngineOptions options = EngineOptions.builder(TinyModel.model())
                .adapter("diagnosis", TinyModel.adapters().resolve("medical.gguf"))
                .contextSize(256)
                .threads(1)
                .parallelSequences(2)
                .build();
        try (InferenceEngine fresh = open(options)) {
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.of("diagnosis")))
                            .text())
                    .isEqualTo("cardiology; routine");
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, MEDICAL)))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        }
    }

    @Test
    void adaptersAreListedWithWhatTheyAre(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(
                folder.resolve("medical.json"),
                "{\"description\": \"Labels notes\", \"defaultScale\": 0.5, \"tags\": [\"domain\"]}");
        Files.writeString(folder.resolve("broken.gguf"), "not an adapter");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            ResolvedAdapter preloaded =
                    fresh.preload(MEDICAL).get(60, TimeUnit.SECONDS).get(0);

            List<LoadedAdapter> adapters = fresh.adapters();
            assertThat(adapters).extracting(LoadedAdapter::name).containsExactly("broken", "medical");
            assertThat(adapters.get(0)).satisfies(broken -> {
                assertThat(broken.resident()).isFalse();
                assertThat(broken.problem())
                        .hasValueSatisfying(problem -> assertThat(problem).contains("broken"));
            });
            assertThat(adapters.get(1)).satisfies(medical -> {
                assertThat(medical.resident()).isTrue();
                assertThat(medical.digest()).contains(preloaded.digest());
                assertThat(medical.rank()).isEqualTo(4);
                assertThat(medical.alpha()).isPositive();
                assertThat(medical.targetModules()).contains("attn_q", "ffn_down");
                assertThat(medical.parameters()).isBetween(30_000L, 40_000L);
                assertThat(medical.bytes()).isBetween(60_000L, 80_000L);
                assertThat(medical.leases()).isZero();
                assertThat(medical.defaultScale()).isEqualTo(0.5f);
                assertThat(medical.description()).isEqualTo("Labels notes");
                assertThat(medical.tags()).containsExactly("domain");
                assertThat(medical.problem()).isEmpty();
            });
        }
    }

    @Test
    void preloadSaysWhatAStackResolvesToOrWhyItCannot() throws Exception {
        assertThat(engine.preload(AdapterStack.parse("medical:0.5+formal")).get(60, TimeUnit.SECONDS))
                .extracting(ResolvedAdapter::name, ResolvedAdapter::scale)
                .containsExactly(tuple("medical", 0.5f), tuple("formal", 1f));
        assertThat(engine.preload(AdapterStack.base()).get(60, TimeUnit.SECONDS))
                .isEmpty();
        assertThatThrownBy(() -> engine.preload(AdapterStack.of("nobody")).get(60, TimeUnit.SECONDS))
                .cause()
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND));
        engine.prefetch(AdapterStack.of("nobody"));
    }

    @Test
    void adaptersToPreloadAreThereWhenTheEngineIsOpen() {
        EngineOptions.Builder options = TinyModel.options().parallelSequences(2);
        try (InferenceEngine fresh = open(
                options.adapterPreload(List.of(AdapterStack.of("medical"), AdapterStack.parse("medical:0.5+formal")))
                        .build())) {
            assertThat(fresh.adapters())
                    .filteredOn(LoadedAdapter::resident)
                    .extracting(LoadedAdapter::name)
                    .contains("medical", "formal");
        }
        assertOpenFails(options.adapterPreload(List.of(AdapterStack.of("nobody"))), ErrorCode.ADAPTER_NOT_FOUND);
    }

    @Test
    void malformedNameCannotBeUnloaded() {
        assertThatThrownBy(() -> engine.unload("../medical"))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_REQUEST));
        assertThat(engine.unload("nobody")).isFalse();
    }

    private static void publish(Path folder, String adapter, String name) throws Exception {
        Path whole = folder.resolve(name + ".part");
        Files.copy(TinyModel.adapters().resolve(adapter), whole);
        Path unused = Files.move(
                whole,
                folder.resolve(name + ".gguf"),
                StandardCopyOption.ATOMIC_MOVE,
                StandardCopyOption.REPLACE_EXISTING);
    }

    @Test
    void malformedAdapterIsAnErrorForItsRecordsOnly(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(folder.resolve("broken.gguf"), "not an adapter");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("broken"))))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_INVALID);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    void metricsCountRequestsAndTokens() throws Exception {
        try (InferenceEngine fresh = open(TinyModel.options().build())) {
            Completion answer = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));
            failure(fresh.submit(CompletionRequest.of("", MEDICAL)));

            EngineMetrics metrics = fresh.metrics();
            assertThat(metrics.requests()).isEqualTo(2);
            assertThat(metrics.completions()).isEqualTo(1);
            assertThat(metrics.errors()).isEqualTo(1);
            assertThat(metrics.promptTokens()).isEqualTo(answer.promptTokens());
            assertThat(metrics.generatedTokens()).isEqualTo(answer.generatedTokens());
            assertThat(metrics.contextCells()).isEqualTo(16L * 512);
            assertThat(metrics.memory().model()).isGreaterThan(800_000);
            assertThat(metrics.memory().context()).isGreaterThan(1_000_000);
        }
    }

    @Test
    void answerSaysWhatAnsweredAndWhatItTook() throws Exception {
        Completion answer = answer(CompletionRequest.of(PROMPT, AdapterStack.parse("medical + formal:0.5")));

        assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        assertThat(answer.promptTokens()).isGreaterThan(10);
        assertThat(answer.generatedTokens()).isGreaterThan(3);
        assertThat(answer.adapters()).extracting(ResolvedAdapter::name).containsExactly("medical", "formal");
        assertThat(answer.adapters()).extracting(ResolvedAdapter::scale).containsExactly(1f, 0.5f);
        assertThat(answer.adapters())
                .allSatisfy(adapter -> assertThat(adapter.digest()).matches("[0-9a-f]{64}"));
        assertThat(answer.timings().queueMillis()).isGreaterThan(0);
        assertThat(answer.timings().firstTokenMillis())
                .isGreaterThan(answer.timings().queueMillis());
        assertThat(answer.timings().totalMillis())
                .isGreaterThan(answer.timings().firstTokenMillis());
    }

    @Test
    void stopStringEndsTheAnswerBeforeItself() throws Exception {
        Completion answer = answer(CompletionRequest.of(PROMPT, MEDICAL).withStop("zzz", "ology"));

        assertThat(answer.text()).isEqualTo("cardi");
        assertThat(answer.finishReason()).isEqualTo(FinishReason.STOP_STRING);
    }

    @Test
    void tokenLimitEndsTheAnswer() throws Exception {
        Completion answer = answer(endless(7));

        assertThat(answer.generatedTokens()).isEqualTo(7);
        assertThat(answer.finishReason()).isEqualTo(FinishReason.MAX_TOKENS);
    }

    @Test
    void fullContextEndsTheAnswer() throws Exception {
        Completion answer = answer(endless(100_000));

        assertThat(answer.promptTokens() + answer.generatedTokens()).isEqualTo(512);
        assertThat(answer.finishReason()).isEqualTo(FinishReason.CONTEXT_FULL);
    }

    @Test
    void grammarConstrainsTheAnswer() throws Exception {
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"{\\\"urgent\\\": \" (\"true\" | \"false\") \", \\\"n\\\": \" [0-9] [0-9] \"}\"")
                .build();
        for (AdapterStack stack : List.of(AdapterStack.base(), MEDICAL, AdapterStack.parse("formal"))) {
            Completion answer = answer(CompletionRequest.of(PROMPT, stack).withSampling(sampling));

            assertThat(answer.text()).matches("\\{\"urgent\": (true|false), \"n\": [0-9][0-9]}");
            assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        }
    }

    @Test
    void grammarHoldsUnderRandomSampling() throws Exception {
        for (int seed = 0; seed < 10; seed++) {
            SamplingOptions.Builder sampling = SamplingOptions.builder()
                    .temperature(1.5f)
                    .seed(seed)
                    .grammar("root ::= (\"yes\" | \"no\") (\" \" (\"yes\" | \"no\"))? (\"!\")");
            if (seed % 2 == 1) {
                sampling.mirostat(5, 0.1f);
            }
            Completion answer = answer(CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling.build()));

            assertThat(answer.text()).matches("(yes|no)( (yes|no))?!");
        }
    }

    @Test
    void charactersAreNeverCutInHalf() throws Exception {
        String text = "😀漢字مرحبا ñ🇩🇪";
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"%s\"".formatted(text))
                .build();
        CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling);
        Completion whole = answer(request);
        assertThat(whole.text()).isEqualTo(text);
        assertThat(whole.generatedTokens()).isGreaterThan(text.codePointCount(0, text.length()));

        for (int tokens = 1; tokens < whole.generatedTokens(); tokens++) {
            String part = answer(request.withMaxTokens(tokens)).text();
            assertThat(text).startsWith(part);
            assertThat(part).doesNotContain("\uFFFD");
            assertThat(part.isEmpty() || !Character.isHighSurrogate(part.charAt(part.length() - 1)))
                    .isTrue();
        }
    }

    @Test
    void stopStringOfManyBytesIsFoundAcrossTokens() throws Exception {
        SamplingOptions sampling =
                SamplingOptions.builder().grammar("root ::= \"abc漢字😀def\"").build();
        Completion answer = answer(
                CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling).withStop("字😀"));

        assertThat(answer.text()).isEqualTo("abc漢");
    }

    @Test
    void sameSeedRepeatsAnAnswerAndAnotherSeedDoesNot() throws Exception {
        List<String> answers = new ArrayList<>();
        for (int seed : new int[] {11, 11, 12, 13, 14, 15, 16}) {
            SamplingOptions sampling = SamplingOptions.builder()
                    .temperature(2)
                    .topK(0)
                    .topP(1)
                    .minP(0)
                    .seed(seed)
                    .build();
            // a fresh engine has no prefix cache, which would change the last bits of the logits
            try (InferenceEngine fresh = open(TinyModel.options().build())) {
                answers.add(answer(
                                fresh,
                                CompletionRequest.of(PROMPT, AdapterStack.base())
                                        .withSampling(sampling)
                                        .withMaxTokens(20))
                        .text());
            }
        }
        assertThat(answers.get(0)).isEqualTo(answers.get(1));
        assertThat(answers.stream().distinct()).hasSizeGreaterThan(1);
    }

    @Test
    void penaltiesAndBiasChangeTheAnswer() throws Exception {
        SamplingOptions penalised = SamplingOptions.builder()
                .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
                .repeatPenalty(1.3f)
                .frequencyPenalty(0.5f)
                .presencePenalty(0.5f)
                .penaltyLastTokens(-1)
                .build();
        String plain = answer(endless(60)).text();

        assertThat(answer(endless(60).withSampling(penalised)).text()).isNotEqualTo(plain);
    }

    @Test
    void cancelledRequestFreesItsSequence() throws Exception {
        try (InferenceEngine single =
                open(TinyModel.options().parallelSequences(1).build())) {
            CompletableFuture<Completion> busy = single.submit(endless(400));
            awaitActive(single, 1);
            CompletableFuture<Completion> next = single.submit(CompletionRequest.of(PROMPT, MEDICAL));

            assertThat(busy.cancel(true)).isTrue();

            assertThat(next.get(60, TimeUnit.SECONDS).text()).isEqualTo("cardiology; routine");
            assertThatThrownBy(busy::join).isInstanceOf(CancellationException.class);
            awaitActive(single, 0);
        }
    }

    @Test
    void cancelledRequestDoesNotWaitInTheQueue() throws Exception {
        try (InferenceEngine single =
                open(TinyModel.options().parallelSequences(1).build())) {
            CompletableFuture<Completion> busy = single.submit(endless(400));
            CompletableFuture<Completion> waiting = single.submit(endless(400));
            assertThat(waiting.cancel(true)).isTrue();

            assertThat(busy.get(60, TimeUnit.SECONDS).generatedTokens()).isEqualTo(400);
            awaitActive(single, 0);
        }
    }

    @Test
    void deadlineEndsRunningAndWaitingRequests() throws Exception {
        try (InferenceEngine single =
                open(TinyModel.options().parallelSequences(1).build())) {
            CompletableFuture<Completion> running = single.submit(endless(480).withTimeout(Duration.ofMillis(30)));
            CompletableFuture<Completion> waiting = single.submit(endless(480).withTimeout(Duration.ofMillis(20)));

            assertThat(failure(waiting).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
            assertThat(failure(running).code()).isEqualTo(ErrorCode.DEADLINE_EXCEEDED);
            awaitActive(single, 0);
            assertThat(answer(single, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    void closeUnderLoadCompletesEveryRequest() throws Exception {
        InferenceEngine loaded = open(TinyModel.options().build());
        List<CompletableFuture<Completion>> answers = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            AdapterStack stack = AdapterStack.parse(i % 3 == 0 ? "medical" : i % 3 == 1 ? "legal+formal" : "");
            answers.add(loaded.submit(endless(300).withMaxTokens(300 + i)));
            answers.add(loaded.submit(CompletionRequest.of(PROMPT, stack)));
        }
        awaitActive(loaded, 16);

        loaded.close();

        for (CompletableFuture<Completion> answer : answers) {
            assertThat(answer).isDone();
            if (answer.isCompletedExceptionally()) {
                assertThat(failure(answer).code()).isEqualTo(ErrorCode.ENGINE_CLOSED);
            }
        }
        assertThat(loaded.isOpen()).isFalse();
        assertThat(failure(loaded.submit(endless(3))).code()).isEqualTo(ErrorCode.ENGINE_CLOSED);
        loaded.close();
    }

    @Test
    void promptLongerThanASequenceIsRefused() throws Exception {
        LlamafuException failure =
                failure(engine.submit(CompletionRequest.of(TinyModel.prompt("pain ".repeat(600)), MEDICAL)));

        assertThat(failure.code()).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
        assertThat(failure).hasMessageContaining("512");
    }

    @Test
    void promptThatJustFitsIsAnswered() throws Exception {
        String text = "chest pain ";
        String prompt = PROMPT;
        while (answerable(prompt + text)) {
            prompt = prompt + text;
        }
        Completion answer = answer(CompletionRequest.of(prompt, MEDICAL));

        assertThat(answer.promptTokens()).isBetween(490, 511);
    }

    private boolean answerable(String prompt) throws Exception {
        CompletableFuture<Completion> future =
                engine.submit(CompletionRequest.of(prompt, MEDICAL).withMaxTokens(1));
        try {
            future.get(60, TimeUnit.SECONDS);
            return true;
        } catch (ExecutionException e) {
            return false;
        }
    }

    @Test
    void badRequestsGetACode() throws Exception {
        CompletionRequest good = CompletionRequest.of(PROMPT, MEDICAL);
        SamplingOptions badGrammar =
                SamplingOptions.builder().grammar("root ::= (").build();
        SamplingOptions deepGrammar = SamplingOptions.builder()
                .grammar("root ::= " + "(".repeat(100_000))
                .build();
        SamplingOptions rootless =
                SamplingOptions.builder().grammar("other ::= \"x\"").build();
        SamplingOptions unknownToken =
                SamplingOptions.builder().logitBias(Map.of(99_999, 1f)).build();

        assertThat(code(CompletionRequest.of("", MEDICAL))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(code(CompletionRequest.of("a\uD83D", MEDICAL))).isEqualTo(ErrorCode.INVALID_TEXT);
        assertThat(code(good.withStop("\uDE00"))).isEqualTo(ErrorCode.INVALID_TEXT);
        assertThat(code(good.withStop(""))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(code(good.withMaxTokens(0))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(code(good.withTimeout(Duration.ZERO))).isEqualTo(ErrorCode.INVALID_REQUEST);
        assertThat(code(good.withSampling(badGrammar))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(code(good.withSampling(deepGrammar))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(code(good.withSampling(rootless))).isEqualTo(ErrorCode.INVALID_GRAMMAR);
        assertThat(code(good.withSampling(unknownToken))).isEqualTo(ErrorCode.INVALID_OPTION);
        assertThat(code(CompletionRequest.of(PROMPT, AdapterStack.parse("nobody"))))
                .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        assertThat(answer(good).text()).isEqualTo("cardiology; routine");
    }

    @ParameterizedTest
    @ValueSource(strings = {"\0", "a\0b", "   ", "\n\n\n", "<|im_start|>", "<s></s>", "🏳️‍🌈", "\uFFFF"})
    void oddPromptsAreAnswered(String prompt) throws Exception {
        assertThat(answer(CompletionRequest.of(prompt, MEDICAL).withMaxTokens(5))
                        .generatedTokens())
                .isBetween(1, 5);
    }

    @Test
    void openingFailsWithACode(@TempDir Path folder) throws Exception {
        Path text = Files.writeString(folder.resolve("model.gguf"), "not a model");
        EngineOptions.Builder missing = EngineOptions.builder(folder.resolve("none.gguf"));
        EngineOptions.Builder adapter =
                EngineOptions.builder(TinyModel.adapters().resolve("medical.gguf"));

        assertOpenFails(missing, ErrorCode.MODEL_NOT_FOUND);
        assertOpenFails(EngineOptions.builder(folder), ErrorCode.MODEL_NOT_FOUND);
        assertOpenFails(EngineOptions.builder(text), ErrorCode.MODEL_INVALID);
        assertOpenFails(adapter, ErrorCode.MODEL_INVALID);
        assertOpenFails(TinyModel.options().memoryBudget(1000), ErrorCode.OUT_OF_MEMORY);
        assertOpenFails(TinyModel.options().memoryBudget(2_000_000), ErrorCode.OUT_OF_MEMORY);
    }

    private void assertOpenFails(EngineOptions.Builder options, ErrorCode code) {
        assertThatThrownBy(() -> open(options.build()).close())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code));
    }
}
