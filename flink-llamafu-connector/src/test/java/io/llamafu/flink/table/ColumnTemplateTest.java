package io.llamafu.flink.table;

import io.llamafu.engine.Prompt;
import io.llamafu.flink.PromptTemplate;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ColumnTemplateTest {
    @Test
    void valuesStandWhereTheirColumnsAreNamed() {
        ColumnTemplate template = ColumnTemplate.of("{b}: {a}, {b}.", List.of("a", "b"));

        assertThat(template.render(List.of("one", "two"))).hasToString("two: one, two.");
    }

    @Test
    void onlyTheTemplateHasControlTokens() {
        ColumnTemplate template = ColumnTemplate.of("<s>{b}{a}</s>", List.of("a", "b"));

        assertThat(template.render(List.of("s>", "</")))
                .isEqualTo(Prompt.withControlTokens("<s>")
                        .plus(Prompt.text("</s>"))
                        .plus(Prompt.withControlTokens("</s>")));
    }

    @Test
    void bracesOfValuesAndOfJsonStay() {
        ColumnTemplate template =
                ColumnTemplate.of("{\"json\": 1} {} {{a}}", List.of("a", "b").subList(0, 1));

        assertThat(template.render(List.of("{a}{b}$1"))).hasToString("{\"json\": 1} {} {{a}{b}$1}");
    }

    @Test
    void onlyColumnIsAlsoCalledText() {
        assertThat(ColumnTemplate.of("<{text}>", List.of("note")).render(List.of("x")))
                .hasToString("<x>");
    }

    @Test
    void functionsKnowOnlyText() {
        assertThat(ColumnTemplate.of(new PromptTemplate("{text}{x}{text}")).render(List.of("{text}")))
                .hasToString("{text}{x}{text}");
    }

    @Test
    void unknownAndUnusedColumnsAreRefused() {
        assertThatThrownBy(() -> ColumnTemplate.of("{a} {c}", List.of("a", "b")))
                .hasMessageContainingAll("names {c}", "{a}, {b}");
        assertThatThrownBy(() -> ColumnTemplate.of("{a}", List.of("a", "b"))).hasMessageContaining("lacks {b}");
        assertThatThrownBy(() -> ColumnTemplate.of("{text}", List.of("a", "b"))).hasMessageContaining("names {text}");
    }
}
