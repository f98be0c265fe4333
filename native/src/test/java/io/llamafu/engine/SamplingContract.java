package io.llamafu.engine;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.endless;
import static org.assertj.core.api.Assertions.assertThat;

/** What every engine promises of sampling: grammars, seeds, penalties. */
interface SamplingContract extends EngineUnderTest {
    @Test
    default void grammarConstrainsTheAnswer() throws Exception {
        SamplingOptions sampling = SamplingOptions.builder()
                .grammar("root ::= \"{\\\"urgent\\\": \" (\"true\" | \"false\") \", \\\"n\\\": \" [0-9] [0-9] \"}\"")
                .build();
        for (AdapterStack stack : List.of(AdapterStack.base(), MEDICAL, AdapterStack.parse("formal"))) {
            Completion answer =
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
            Completion answer =
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
