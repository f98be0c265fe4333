package io.llamafu.engine;

import io.llamafu.engine.Prompt.Part;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class PromptTest {
    @Test
    void promptsThatMeanTheSameAreEqual() {
        Prompt parts = new Prompt(List.of(
                new Part("", true),
                new Part("a", false),
                new Part("", true),
                new Part("b", false),
                new Part("c", true),
                new Part("", false),
                new Part("d", true)));

        assertThat(parts.parts()).containsExactly(new Part("ab", false), new Part("cd", true));
        assertThat(parts)
                .isEqualTo(Prompt.text("a").plus(Prompt.text("b")).plus(Prompt.withControlTokens("cd")))
                .isNotEqualTo(Prompt.text("abcd"))
                .hasToString("abcd");
    }

    @Test
    void emptyPromptHasNoParts() {
        assertThat(Prompt.text("")).isEqualTo(Prompt.withControlTokens(""));
        assertThat(Prompt.text("").isEmpty()).isTrue();
        assertThat(Prompt.text(" ").isEmpty()).isFalse();
    }
}
