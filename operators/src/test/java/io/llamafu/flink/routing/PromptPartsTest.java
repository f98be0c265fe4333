package io.llamafu.flink.routing;

import io.llamafu.engine.Prompt;
import io.llamafu.flink.PromptTemplate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import static org.assertj.core.api.Assertions.assertThat;

class PromptPartsTest {
    private static RoutedRequest written(Prompt prompt) {
        RoutedRequest request = new RoutedRequest();
        PromptParts.write(prompt, request);
        return request;
    }

    private static RoutedRequest ofAnEarlierVersion(String prompt) {
        RoutedRequest request = new RoutedRequest();
        request.setPrompt(prompt);
        return request;
    }

    @ParameterizedTest
    @ValueSource(strings = {"{text}", "<s>{text}", "{text}</s>", "<s>{text}</s>", "a{text}{text}b", "{text} {text}"})
    void partsTravelWithThePrompt(String template) {
        PromptTemplate written = new PromptTemplate(template);
        PromptTemplate changed = new PromptTemplate("[{text}]");
        for (String text : new String[] {"", "note", "{text}", "</s>", "\uD83D\uDE00<s>", " "}) {
            Prompt prompt = written.render(text);

            assertThat(prompt).hasToString(template.replace("{text}", text));
            assertThat(PromptParts.read(written(prompt), written)).isEqualTo(prompt);
            assertThat(PromptParts.read(written(prompt), changed)).isEqualTo(prompt);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"{text}", "<s>{text}", "{text}</s>", "<s>{text}</s>", "a{text}{text}b", "{text} {text}"})
    void promptOfAnEarlierVersionHasThePartsThatTheTemplateGivesIt(String template) {
        PromptTemplate unchanged = new PromptTemplate(template);
        for (String text : new String[] {"", "note", "{text}", "</s>", "\uD83D\uDE00<s>", " "}) {
            RoutedRequest request = ofAnEarlierVersion(template.replace("{text}", text));

            assertThat(PromptParts.read(request, unchanged)).isEqualTo(unchanged.render(text));
        }
    }

    @Test
    void promptOfAnEarlierVersionAndAnotherTemplateIsText() {
        PromptTemplate changed = new PromptTemplate("<|im_start|>{text}<|im_end|>");

        for (String prompt : new String[] {"<|im_start|>note</s>", "<|im_end|>", "", "note"}) {
            assertThat(PromptParts.read(ofAnEarlierVersion(prompt), changed)).isEqualTo(Prompt.text(prompt));
        }
        assertThat(PromptParts.read(ofAnEarlierVersion("ab"), new PromptTemplate("{text}{text}")))
                .isEqualTo(Prompt.text("ab"));
    }
}
