package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.endless;
import static io.llamafu.engine.Answers.failure;
import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

/** The promises of every engine about answers: correctness, where they end, and their counts. */
interface AnswerContract extends EngineUnderTest {
    @Test
    default void tokensOfATextAreThoseOfThePrompt() throws Exception {
        for (String prompt : List.of(PROMPT, "a", "Grüße, 世界 \uD83D\uDE00")) {
            assertThat(engine().countTokens(prompt))
                    .as("tokens of '%s'", prompt)
                    .isEqualTo(answer(
                                    engine(),
                                    CompletionRequest.of(prompt, MEDICAL).withMaxTokens(1))
                            .promptTokens());
        }
        assertThat(engine().countTokens("")).isBetween(0, 1);
        assertFails(() -> engine().countTokens("\uD83D"), ErrorCode.INVALID_TEXT);
    }

    /** Nearly all are exact with llama-server too, one request at a time; batching may change a few near ties. */
    @Test
    default void everyPromptIsAnsweredByItsOwnStackWhateverElseIsInTheBatch() throws Exception {
        assertGoldenAnswers(TinyModel.options().build());
    }

    @Test
    default void answerSaysWhatAnsweredAndWhatItTook() throws Exception {
        CompletionResult answer =
                answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.parse("medical + formal:0.5")));

        assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        assertThat(answer.promptTokens()).isGreaterThan(10);
        assertThat(answer.generatedTokens()).isGreaterThan(3);
        assertThat(answer.adapters()).extracting(AppliedAdapter::name).containsExactly("medical", "formal");
        assertThat(answer.adapters()).extracting(AppliedAdapter::scale).containsExactly(1f, 0.5f);
        assertThat(answer.adapters())
                .allSatisfy(adapter -> assertThat(adapter.digest()).matches("[0-9a-f]{64}"));
        assertThat(answer.timings().queueMillis()).isGreaterThan(0);
        assertThat(answer.timings().firstTokenMillis())
                .isGreaterThan(answer.timings().queueMillis());
        assertThat(answer.timings().totalMillis())
                .isGreaterThan(answer.timings().firstTokenMillis());
    }

    @Test
    default void answerSaysWhatItTakesToRepeatIt() throws Exception {
        SamplingOptions random =
                SamplingOptions.builder().temperature(0.8f).seed(-1).build();
        CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL)
                .withSampling(random)
                .withMaxTokens(9)
                .withStop("###");

        CompletionResult.Computation computation = answer(engine(), request).computation();

        assertThat(computation.modelDigest()).isEqualTo(Sha256.of(TinyModel.model()));
        assertThat(computation.engine()).contains("llama.cpp");
        assertThat(computation.maxTokens()).isEqualTo(9);
        assertThat(computation.stop()).containsExactly("###");
        assertThat(computation.sampling().temperature()).isEqualTo(0.8f);
        assertThat(computation.sampling().seed())
                .as("-1 would be another seed each time")
                .isEqualTo(-2);
        assertThat(answer(engine(), request.withSampling(computation.sampling()))
                        .computation())
                .as("what was reported, asked again")
                .isEqualTo(computation);
    }

    @Test
    default void metricsCountRequestsAndTokens() throws Exception {
        try (InferenceEngine fresh = open(TinyModel.options().build())) {
            CompletionResult answer = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));
            failure(fresh.submit(CompletionRequest.of("", MEDICAL)));

            EngineMetrics metrics = fresh.metrics();
            assertThat(metrics.requests().submitted()).isEqualTo(2);
            assertThat(metrics.requests().completed()).isEqualTo(1);
            assertThat(metrics.requests().failed()).isEqualTo(1);
            assertThat(metrics.decoding().promptTokens()).isEqualTo(answer.promptTokens());
            assertThat(metrics.decoding().generatedTokens()).isEqualTo(answer.generatedTokens());
            assertThat(metrics.sequences().contextCells()).isEqualTo(16L * 512);
            assertThat(metrics.memory().model()).isGreaterThan(800_000);
            assertThat(metrics.memory().context()).isGreaterThan(1_000_000);
        }
    }

    @Test
    default void stopStringEndsTheAnswerBeforeItself() throws Exception {
        CompletionResult answer =
                answer(engine(), CompletionRequest.of(PROMPT, MEDICAL).withStop("zzz", "ology"));

        assertThat(answer.text()).isEqualTo("cardi");
        assertThat(answer.finishReason()).isEqualTo(FinishReason.STOP_STRING);
    }

    @Test
    default void stopStringOfManyBytesIsFoundAcrossTokens() throws Exception {
        SamplingOptions sampling =
                SamplingOptions.builder().grammar("root ::= \"abc漢字😀def\"").build();
        CompletionResult answer = answer(
                engine(),
                CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling).withStop("字😀"));

        assertThat(answer.text()).isEqualTo("abc漢");
    }

    @Test
    default void tokenLimitEndsTheAnswer() throws Exception {
        CompletionResult answer = answer(engine(), endless(7));

        assertThat(answer.generatedTokens()).isEqualTo(7);
        assertThat(answer.finishReason()).isEqualTo(FinishReason.MAX_TOKENS);
    }

    @Test
    default void fullContextEndsTheAnswer() throws Exception {
        CompletionResult answer = answer(engine(), endless(100_000));

        assertThat(answer.promptTokens() + answer.generatedTokens()).isEqualTo(512);
        assertThat(answer.finishReason()).isEqualTo(FinishReason.CONTEXT_FULL);
    }

    @Test
    default void charactersAreNeverCutInHalf() throws Exception {
        String text = "😀漢字مرحبا ñ🇩🇪";
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"%s\"".formatted(text))
                .build();
        CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling);
        CompletionResult whole = answer(engine(), request);
        assertThat(whole.text()).isEqualTo(text);
        assertThat(whole.generatedTokens()).isGreaterThan(text.codePointCount(0, text.length()));

        for (int tokens = 1; tokens < whole.generatedTokens(); tokens++) {
            String part = answer(engine(), request.withMaxTokens(tokens)).text();
            assertThat(text).startsWith(part);
            assertThat(part).doesNotContain("\uFFFD");
            assertThat(part.isEmpty() || !Character.isHighSurrogate(part.charAt(part.length() - 1)))
                    .isTrue();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"\0", "a\0b", "   ", "\n\n\n", "<|im_start|>", "<s></s>", "🏳️‍🌈", "\uFFFF"})
    default void oddPromptsAreAnswered(String prompt) throws Exception {
        assertThat(answer(engine(), CompletionRequest.of(prompt, MEDICAL).withMaxTokens(5))
                        .generatedTokens())
                .isBetween(1, 5);
    }

    default void assertGoldenAnswers(EngineOptions options) throws Exception {
        List<Golden> golden = new ArrayList<>(TinyModel.golden());
        assertThat(golden).hasSize(3000);
        Collections.shuffle(golden, new Random(7));
        List<Golden> sample = golden.subList(0, goldenSample());

        int exact = 0;
        try (InferenceEngine fresh = open(options)) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (Golden one : sample) {
                answers.add(fresh.submit(
                        CompletionRequest.of(one.prompt(), one.stack()).withMaxTokens(60)));
            }
            for (int i = 0; i < sample.size(); i++) {
                CompletionResult answer = answers.get(i).get(3, TimeUnit.MINUTES);
                exact += answer.text().equals(sample.get(i).expected()) ? 1 : 0;
            }
            assertThat(fresh.metrics().sequences().active()).isZero();
            assertThat(fresh.metrics().requests().completed()).isEqualTo(sample.size());
        }
        assertThat(exact).isGreaterThanOrEqualTo((int) Math.floor(sample.size() * 0.9966));
    }
}
