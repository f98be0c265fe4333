package io.llamafu.engine;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.grammar.LabelGrammar;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Optional;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static org.assertj.core.api.Assertions.assertThat;

/** The promises of every engine about text that must not hold control tokens. */
interface TextContract extends EngineUnderTest {
    /** The control strings of the tiny model. */
    List<String> CONTROLS = List.of("<unk>", "<s>", "</s>");

    @Test
    default void controlStringsAreTokensOnlyWhereTheyMayBe() {
        for (String control : CONTROLS) {
            String text = "a" + control + "b";
            int begin = engine().countTokens("");
            int around = engine().countTokens("a") + engine().countTokens("b") - 2 * begin;

            assertThat(engine().countTokens(Prompt.withControlTokens(text)))
                    .as(control)
                    .isEqualTo(begin + around + 1);
            assertThat(engine().countTokens(text)).as(control).isGreaterThan(begin + around + 1);
            for (int at = 2; at < text.length() - 1; at++) {
                Prompt split = Prompt.withControlTokens(text.substring(0, at)).plus(Prompt.text(text.substring(at)));
                assertThat(engine().countTokens(split)).as("%s", split.parts()).isGreaterThan(begin + around + 1);
            }
        }
    }

    @Test
    default void answersCountTheTokensThatTheTextHas() throws Exception {
        String text = "Patient </s> reports <s> chest pain.<unk>";
        Prompt prompt = Prompt.withControlTokens("### Text:\n")
                .plus(Prompt.text(text))
                .plus(Prompt.withControlTokens("\n### Answer:\n"));
        CompletionResult plain = answer(engine(), CompletionRequest.of(prompt, MEDICAL));
        CompletionResult control =
                answer(engine(), CompletionRequest.of(Prompt.withControlTokens(TinyModel.prompt(text)), MEDICAL));

        assertThat(plain.promptTokens()).isEqualTo(engine().countTokens(prompt));
        assertThat(control.promptTokens()).as("not from the memo").isLessThan(plain.promptTokens());
    }

    @Test
    default void textWithoutControlStringsIsAnsweredAlikeWhateverItsParts() throws Exception {
        String[] literals = TinyModel.prompt("{}").split("\\{}", -1);
        String text = PROMPT.substring(literals[0].length(), PROMPT.length() - literals[1].length());
        Prompt parts = Prompt.withControlTokens(literals[0])
                .plus(Prompt.text(text))
                .plus(Prompt.withControlTokens(literals[1]));

        CompletionResult whole = answer(engine(), CompletionRequest.of(PROMPT, MEDICAL));
        CompletionResult inParts = answer(engine(), CompletionRequest.of(parts, MEDICAL));

        assertThat(inParts.text()).isEqualTo(whole.text());
        assertThat(inParts.promptTokens()).isEqualTo(whole.promptTokens());
    }

    @Test
    default void templateThatBeginsASequenceDoesNotBeginItTwice() throws Exception {
        Prompt begun = Prompt.withControlTokens("<s>").plus(Prompt.text(PROMPT));

        assertThat(engine().countTokens(begun)).isEqualTo(engine().countTokens(PROMPT));
        CompletionResult answer = answer(engine(), CompletionRequest.of(begun, MEDICAL));
        assertThat(answer.text())
                .isEqualTo(
                        answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text());
        assertThat(answer.promptTokens()).isEqualTo(engine().countTokens(PROMPT));
    }

    @Test
    default void labelsWithControlStringsAreWrittenInPlainTokens() throws Exception {
        for (String control : CONTROLS) {
            for (String label : List.of(control, "a" + control, control + "b" + control)) {
                List<String> labels = List.of(label);
                CompletionResult answer = answer(
                        engine(),
                        CompletionRequest.of(PROMPT, AdapterStack.base())
                                .withSampling(SamplingOptions.builder()
                                        .grammar(LabelGrammar.of(labels))
                                        .build())
                                .withMaxTokens(LabelGrammar.maxTokens(labels)));
                assertThat(answer.text()).isEqualTo(label);
                assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
            }
        }
    }

    @Test
    default void answerIsAWholeLabelWhateverTheLimitsAre() throws Exception {
        List<String> labels = List.of("cardiology; routine", "cardiology", "no such department", "</s>");
        for (AdapterStack stack : List.of(AdapterStack.base(), MEDICAL)) {
            CompletionResult answer = answer(
                    engine(),
                    CompletionRequest.of(PROMPT, stack)
                            .withMaxTokens(1)
                            .withStop("o")
                            .withLabels(Optional.of(LabelChoice.of(labels))));
            assertThat(answer.text()).isIn(labels);
            assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
            assertThat(answer.labels()).isEmpty();
            if (stack.equals(MEDICAL)) {
                assertThat(answer.text()).isEqualTo("cardiology; routine");
            }
        }
    }
}
