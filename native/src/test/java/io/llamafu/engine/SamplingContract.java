package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.endless;
import static io.llamafu.engine.Answers.failure;
import static org.assertj.core.api.Assertions.assertThat;

/** The promises of every engine about sampling: grammars, seeds, penalties. */
interface SamplingContract extends EngineUnderTest {
    @Test
    default void grammarConstrainsTheAnswer() throws Exception {
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"{\\\"urgent\\\": \" (\"true\" | \"false\") \", \\\"n\\\": \" [0-9] [0-9] \"}\"")
                .build();
        for (AdapterStack stack : List.of(AdapterStack.base(), MEDICAL, AdapterStack.parse("formal"))) {
            CompletionResult answer =
                    answer(engine(), CompletionRequest.of(PROMPT, stack).withSampling(sampling));

            assertThat(answer.text()).matches("\\{\"urgent\": (true|false), \"n\": [0-9][0-9]}");
            assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        }
    }

    @Test
    default void grammarHoldsUnderRandomSampling() throws Exception {
        for (int seed = 0; seed < 10; seed++) {
            SamplingOptions.Builder sampling = SamplingOptions.builder()
                    .temperature(1.5f)
                    .seed(seed)
                    .grammar("root ::= (\"yes\" | \"no\") (\" \" (\"yes\" | \"no\"))? (\"!\")");
            if (seed % 2 == 1) {
                sampling.mirostat(5, 0.1f);
            }
            CompletionResult answer =
                    answer(engine(), CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling.build()));

            assertThat(answer.text()).matches("(yes|no)( (yes|no))?!");
        }
    }

    @Test
    default void sameSeedRepeatsAnAnswerAndAnotherSeedDoesNot() throws Exception {
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

    /** All allowed options leave numbers that can be sampled from. */
    @Test
    default void extremeOptionsChooseTokensThatTheGrammarAllows() throws Exception {
        Random random = new Random(1);
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int i = 0; i < 400; i++) {
            SamplingOptions.Builder sampling = SamplingOptions.builder()
                    .temperature(any(random, 0, Float.MIN_VALUE, 1e-38f, 9.9e-5f, 1e-4f, 0.5f, 2, 1e38f))
                    .topK((int) any(random, 0, 1, 40, 2e9f))
                    .topP(any(random, Float.MIN_VALUE, 0.5f, 1))
                    .minP(any(random, 0, Float.MIN_VALUE, 0.05f, 0.999999f))
                    .typicalP(any(random, Float.MIN_VALUE, 0.2f, 0.999999f, 1))
                    .repeatPenalty(any(random, 0.001f, 1, 1.3f, 1000))
                    .frequencyPenalty(any(random, -1000, 0, 1000))
                    .presencePenalty(any(random, -1000, 0, 1000))
                    .penaltyLastTokens((int) any(random, -1, 0, 64, 2e9f))
                    .seed(random.nextInt(3) - 1);
            if (random.nextInt(4) == 0) {
                sampling.mirostat(any(random, Float.MIN_VALUE, 5, 1000), any(random, Float.MIN_VALUE, 0.1f, 1000));
            }
            if (random.nextBoolean()) {
                sampling.logitBias(Map.of(
                        300 + random.nextInt(300), any(random, -Float.MAX_VALUE, -1e9f, 0, 100),
                        700 + random.nextInt(300), any(random, Float.MAX_VALUE, 1e9f, 100)));
            }
            if (i % 2 == 0) {
                sampling.grammar("root ::= (\"yes\" | \"no\") (\" \" (\"yes\" | \"no\"))? (\"!\")");
            }
            answers.add(engine().submit(CompletionRequest.of(PROMPT, i % 3 == 0 ? MEDICAL : AdapterStack.base())
                    .withSampling(sampling.build())
                    .withMaxTokens(12)));
        }
        for (int i = 0; i < answers.size(); i++) {
            String text = answers.get(i).get(60, TimeUnit.SECONDS).text();
            if (i % 2 == 0) {
                assertThat(text).matches("(yes|no)( (yes|no))?!");
            }
        }
    }

    private static float any(Random random, float... values) {
        return values[random.nextInt(values.length)];
    }

    @Test
    default void grammarThatDemandsWhatNoTextHasIsInvalid() throws Exception {
        for (String grammar : List.of("root ::= \"a\" \"\\x00\"", "root ::= \"a\" [\\x00]", "root ::= \"a\" []")) {
            SamplingOptions sampling =
                    SamplingOptions.builder().grammar(grammar).build();
            assertThat(failure(engine().submit(CompletionRequest.of(PROMPT, MEDICAL)
                                    .withSampling(sampling)))
                            .code())
                    .isEqualTo(ErrorCode.INVALID_GRAMMAR);
        }
    }

    @Test
    default void temperaturesNearZeroTakeTheLikeliestToken() throws Exception {
        String greedy = answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text();
        for (float temperature : new float[] {Float.MIN_VALUE, 1e-38f, 1e-20f, 5e-5f, 1e-4f}) {
            SamplingOptions sampling = SamplingOptions.builder()
                    .temperature(temperature)
                    .topK(0)
                    .topP(1)
                    .minP(0)
                    .build();
            assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL).withSampling(sampling))
                            .text())
                    .as("temperature %s", temperature)
                    .isEqualTo(greedy);
        }
    }

    /** llama.cpp itself would choose a random seed for this one. */
    @Test
    default void seedMinusOneRepeatsAnAnswerToo() throws Exception {
        SamplingOptions sampling = SamplingOptions.builder()
                .temperature(2)
                .topK(0)
                .topP(1)
                .minP(0)
                .seed(-1)
                .build();
        List<String> answers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
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
    }

    @Test
    default void penaltiesAndBiasChangeTheAnswer() throws Exception {
        SamplingOptions penalised = SamplingOptions.builder()
                .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
                .repeatPenalty(1.3f)
                .frequencyPenalty(0.5f)
                .presencePenalty(0.5f)
                .penaltyLastTokens(-1)
                .build();
        String plain = answer(engine(), endless(60)).text();

        assertThat(answer(engine(), endless(60).withSampling(penalised)).text()).isNotEqualTo(plain);
    }
}
