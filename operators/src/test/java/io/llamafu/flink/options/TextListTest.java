package io.llamafu.flink.options;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class TextListTest {

    @ParameterizedTest
    @ValueSource(
            strings = {"\n", "\nUser:", " ", "a ", "- a", "- ", "{a: b}", "# a", "'", "\"", "a: b", "<|im_end|>", "null"
            })
    void textHoldsAsItIsWritten(String text) {
        assertThat(TextList.parse("stop", text)).containsExactly(text);
    }

    @Test
    void textsAreSeparatedBySemicolons() {
        assertThat(TextList.parse("stop", "")).isEmpty();
        assertThat(TextList.parse("stop", "END;\nUser:;- a")).containsExactly("END", "\nUser:", "- a");
    }

    @Test
    void arrayHoldsAnyText() {
        assertThat(TextList.parse("stop", "[]")).isEmpty();
        assertThat(TextList.parse("stop", " [\"a\"]")).containsExactly(" [\"a\"]");
        assertThat(TextList.parse("stop", "[ \"\\n\", \"[INST]\" ,\" a;b \", \"\\u00e9\\\"\\\\\\/\\t\"]\n"))
                .containsExactly("\n", "[INST]", " a;b ", "é\"\\/\t");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "[INST]",
                "[a, b]",
                "[",
                "[\"a\"",
                "[\"a\",]",
                "['a']",
                "[\"a\"] b",
                "[\"\\x\"]",
                "[\"\\u12\"]",
                "[1]",
                "a; b",
                "a ;b",
                "'a;b'",
                "\"a\";b",
                "a;;b",
                ";a",
                "a;"
            })
    void whatCouldBeMeantInAnotherWayIsRefused(String written) {
        assertThatThrownBy(() -> TextList.parse("stop", written))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageStartingWith("INVALID_OPTION: stop is '" + written + "', which ")
                .hasMessageContaining("JSON array");
    }

    @Test
    void whatIsFormattedIsReadBack() {
        List<String> texts =
                List.of("\n", " a ", "[INST]", "'x'", "\"", "\\", ";", "\u0000", "é 🙂", "\r\n\t\b\f", "\uD83D");

        assertThat(TextList.parse("stop", TextList.format(texts))).isEqualTo(texts);
        assertThat(TextList.parse("stop", TextList.format(List.of()))).isEmpty();
    }

    /** By the builder, as a list or a text of a configuration, or in the written form. */
    @Test
    void stopStringsHoldInEveryWayOfWritingThem() {
        String[] stop = {"\n", "\nUser:", "[INST]", "- a", " ", "a;b", "'q'"};
        Configuration typed = new Configuration();
        typed.set(LlamafuConfigOptions.MODEL, "base.gguf");
        typed.set(LlamafuConfigOptions.STOP, List.of(stop));
        Map<String, String> written = Map.of("model", "base.gguf", "stop", TextList.format(List.of(stop)));
        LlamafuOptions built =
                LlamafuOptions.builder().model("base.gguf").stop(stop).build();

        assertThat(built.stop()).containsExactly(stop);
        assertThat(LlamafuOptions.builder()
                        .model("base.gguf")
                        .set(LlamafuConfigOptions.STOP, List.of(stop))
                        .build()
                        .stop())
                .containsExactly(stop);
        assertThat(LlamafuOptions.fromConfiguration(typed).stop()).containsExactly(stop);
        assertThat(LlamafuOptions.fromMap(written).stop()).containsExactly(stop);
        assertThat(LlamafuOptions.fromConfiguration(Configuration.fromMap(written))
                        .stop())
                .containsExactly(stop);
        assertThat(LlamafuOptions.fromMap(built.toMap()).stop()).containsExactly(stop);
        assertThat(LlamafuOptions.fromMap(Map.of("model", "base.gguf", "stop", "\nUser:"))
                        .stop())
                .containsExactly("\nUser:");
    }
}
