package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterCardTest {
    private static AdapterCard parse(String json) {
        return AdapterCard.parse(json.getBytes(UTF_8), "medical");
    }

    @Test
    void everyFieldIsOptional() {
        assertThat(parse("{}")).isEqualTo(AdapterCard.NONE);
        assertThat(parse("{\"tags\": []}")).isEqualTo(AdapterCard.NONE);
        assertThat(parse("{\"defaultScale\": -1e-3}").defaultScale()).isEqualTo(-0.001f);
        assertThat(parse("{\"description\": \"é\", \"tags\": [\"a\"], \"defaultScale\": 2}"))
                .isEqualTo(new AdapterCard("é", 2, List.of("a")));
    }

    static Stream<String> malformed() {
        return Stream.of(
                "",
                "null",
                "[]",
                "{",
                "{}{}",
                "{\"other\": 1}",
                "{\"tags\": [], \"tags\": []}",
                "{\"defaultScale\": \"1\"}",
                "{\"defaultScale\": 1e99}",
                "{\"defaultScale\": 1e38}",
                "{\"defaultScale\": -100.1}",
                "{\"defaultScale\": NaN}",
                "{\"defaultScale\": null}",
                "{\"description\": 1}",
                "{\"description\": \"" + "x".repeat(4097) + "\"}",
                "{\"tags\": \"a\"}",
                "{\"tags\": [1]}",
                "{\"tags\": [\"" + "x".repeat(129) + "\"]}",
                "{\"tags\": [" + "\"a\",".repeat(64) + "\"a\"]}",
                "[".repeat(60_000),
                " ".repeat(AdapterCard.MOST_BYTES) + "{}");
    }

    @ParameterizedTest
    @MethodSource("malformed")
    void malformedCardsAreRefused(String json) {
        assertThatThrownBy(() -> parse(json))
                .hasMessageContaining("medical.json")
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_INVALID));
    }
}
