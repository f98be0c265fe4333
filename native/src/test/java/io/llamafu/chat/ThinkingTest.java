package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.SamplingOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

class ThinkingTest {

    private static String shown(Thinking thinking, String prompt, String answer) {
        CompletionRequest request = CompletionRequest.of(prompt, AdapterStack.base());
        return thinking.apply(request, result(answer)).text();
    }

    private static CompletionResult result(String text) {
        return new CompletionResult(
                text,
                FinishReason.END_OF_GENERATION,
                1,
                0,
                9,
                List.of(),
                new CompletionResult.Computation("", "", SamplingOptions.greedy(), 9, List.of()),
                new CompletionResult.Timings(0, 0, 0));
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            delimiter = ';',
            value = {
                "Why?;<think>hm</think>So.",
                "Why?;  <think>\\nhm\\n</think>\\n\\nSo.",
                "Why?<think>;hm</think>So.",
                "Why?<think>\\n;hm <think> hm</think>\\n\\nSo.",
                "Why?[THINK];hm[/THINK]So.",
                "Why?;<|START_THINKING|>hm<|END_THINKING|>So.",
                "Why?;<seed:think>hm</seed:think><think></think>\\nSo.",
                "Why?<think></think>;So.",
                "<think>Why?;So.",
            })
    void droppedThinkingLeavesTheAnswer(String prompt, String answer) {
        String written = answer.replace("\\n", "\n");
        assertThat(shown(Thinking.DROP, prompt.replace("\\n", "\n"), written)).isEqualTo("So.");
        assertThat(shown(Thinking.OFF, prompt.replace("\\n", "\n"), written)).isEqualTo("So.");
        assertThat(shown(Thinking.KEEP, prompt, written)).isEqualTo(written);
    }

    @Test
    void answersWithoutThinkingAreUntouched() {
        for (String answer : List.of("", " So. ", "So <think>not</think>", "<b>So</b>")) {
            assertThat(shown(Thinking.DROP, "Why?", answer)).isEqualTo(answer);
        }
    }

    @Test
    void thinkingWithoutEndIsNoAnswer() {
        assertFails(
                () -> shown(Thinking.DROP, "Why?<think>\n", "hm"),
                ErrorCode.ANSWER_INCOMPLETE,
                "after 9 tokens",
                "max-tokens");
        assertFails(() -> shown(Thinking.OFF, "Why?", "<think>"), ErrorCode.ANSWER_INCOMPLETE);
    }

    @Test
    void answersOfAGrammarHaveNoThinking() {
        CompletionRequest request = CompletionRequest.of("Why?<think>", AdapterStack.base())
                .withSampling(SamplingOptions.greedy().withGrammar("root ::= \"yes\""));
        assertThat(Thinking.DROP.apply(request, result("yes")).text()).isEqualTo("yes");
    }
}
