package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LlamaCppEngineTest {
    private static final String PROMPT = TinyModel.prompt("Patient W99 reports chest pain in a mild form.");
    private static final AdapterStack MEDICAL = AdapterStack.parse("medical");
    /** Bans the end-of-sequence token of the tiny model, so that an answer runs to its token limit. */
    private static final SamplingOptions ENDLESS = SamplingOptions.builder()
            .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
            .build();

    private static InferenceEngine engine;

    @BeforeAll
    static void open() {
        engine = LlamaCppEngine.open(TinyModel.options().build());
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    private static Completion answer(CompletionRequest request) throws Exception {
        return answer(engine, request);
    }

    private static Completion answer(InferenceEngine anEngine, CompletionRequest request) throws Exception {
        return anEngine.submit(request).get(60, TimeUnit.SECONDS);
    }

    private static LlamafuException failure(CompletableFuture<Completion> future)
            throws InterruptedException, TimeoutException {
        try {
            Completion unexpected = future.get(60, TimeUnit.SECONDS);
            throw new AssertionError("Expected a failure, but got " + unexpected);
        } catch (ExecutionException e) {
            assertThat(e.getCause()).isInstanceOf(LlamafuException.class);
            return (LlamafuException) e.getCause();
        }
    }

    private static ErrorCode code(CompletionRequest request) throws Exception {
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
            try (InferenceEngine fresh = LlamaCppEngine.open(TinyModel.options().build())) {
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
                LlamaCppEngine.open(TinyModel.options().parallelSequences(1).build())) {
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
                LlamaCppEngine.open(TinyModel.options().parallelSequences(1).build())) {
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
                LlamaCppEngine.open(TinyModel.options().parallelSequences(1).build())) {
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
        InferenceEngine loaded = LlamaCppEngine.open(TinyModel.options().build());
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

    private static boolean answerable(String prompt) throws Exception {
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
    void answersDoNotDependOnAPrefixCache() throws Exception {
        CompletionRequest longPrompt =
                CompletionRequest.of(TinyModel.prompt("Seen today for knee pain. ".repeat(8)), MEDICAL);
        Completion first = answer(longPrompt);
        Completion second = answer(longPrompt);
        Completion otherStack = answer(CompletionRequest.of(longPrompt.prompt(), AdapterStack.parse("medical:0.5")));

        assertThat(first.text()).startsWith("orthopedics");
        assertThat(second.text()).isEqualTo(first.text());
        assertThat(second.cachedPromptTokens()).isEqualTo(second.promptTokens() - 1);
        assertThat(otherStack.cachedPromptTokens()).isZero();
        assertThat(otherStack.text()).startsWith("perhaps orthopedics");
    }

    @Test
    void adaptersBeyondTheBudgetTakeTurns() throws Exception {
        try (InferenceEngine small = LlamaCppEngine.open(
                TinyModel.options().adapterMemoryBudget(160_000).build())) {
            for (int round = 0; round < 3; round++) {
                for (String stack : List.of("medical", "legal", "finance", "formal", "medical+formal")) {
                    assertThat(answer(small, CompletionRequest.of(PROMPT, AdapterStack.parse(stack)))
                                    .text())
                            .isEqualTo(answer(CompletionRequest.of(PROMPT, AdapterStack.parse(stack)))
                                    .text());
                }
            }
            EngineMetrics metrics = small.metrics();
            assertThat(metrics.residentAdapters()).isLessThanOrEqualTo(2);
            assertThat(metrics.adapterLoads()).isGreaterThan(5);
            assertThat(metrics.memory().adapters()).isBetween(60_000L, 160_000L);

            assertThat(failure(small.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("medical+legal+formal"))))
                            .code())
                    .isEqualTo(ErrorCode.OUT_OF_MEMORY);
        }
    }

    @Test
    void metricsCountWhatHappened() throws Exception {
        try (InferenceEngine fresh = LlamaCppEngine.open(TinyModel.options().build())) {
            Completion answer = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));
            failure(fresh.submit(CompletionRequest.of("", MEDICAL)));

            EngineMetrics metrics = fresh.metrics();
            assertThat(metrics.requests()).isEqualTo(2);
            assertThat(metrics.completions()).isEqualTo(1);
            assertThat(metrics.errors()).isEqualTo(1);
            assertThat(metrics.promptTokens()).isEqualTo(answer.promptTokens());
            assertThat(metrics.generatedTokens()).isEqualTo(answer.generatedTokens());
            assertThat(metrics.decodeSteps()).isEqualTo(answer.generatedTokens());
            assertThat(metrics.residentAdapters()).isEqualTo(1);
            assertThat(metrics.contextCells()).isEqualTo(16L * 512);
            assertThat(metrics.memory().model()).isGreaterThan(800_000);
            assertThat(metrics.memory().context()).isGreaterThan(1_000_000);
            assertThat(metrics.memory().adapters()).isBetween(70_000L, 90_000L);
        }
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

    private static void assertOpenFails(EngineOptions.Builder options, ErrorCode code) {
        assertThatThrownBy(() -> LlamaCppEngine.open(options.build()).close())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code));
    }
}
