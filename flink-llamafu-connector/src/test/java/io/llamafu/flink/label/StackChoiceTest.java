package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class StackChoiceTest {
    @TempDir
    Path folder;

    private StackChoice routes(String... lines) throws IOException {
        Path routes = Files.write(folder.resolve("routes.jsonl"), List.of(lines));
        return StackChoice.of(
                LabelArguments.parse("--routes=" + routes, "--key-field=k", "--time-field=t", "--stack=finance"));
    }

    private static Row row(Map<String, Object> fields) {
        return new Row("in, line 7", new byte[0], "", field -> fields.getOrDefault(field, Row.MISSING), null);
    }

    private static String choose(StackChoice routes, Map<String, Object> fields) {
        return routes.choose(row(fields)).toString();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "\"soon\"",
                "\"\"",
                "null",
                "true",
                "5.5",
                "1e400",
                "99999999999999999999",
                "[]",
                "{}",
                "\"2026-01-31\"",
                "\"2026-01-31T08:00:00\"",
                "\"2026-02-31T08:00:00Z\""
            })
    void routesFromNoTimeAreRefusedByFileAndLine(String time) {
        assertThatThrownBy(() -> routes(
                        "{\"key\": \"x\", \"stack\": \"legal\"}",
                        "{\"key\": \"x\", \"validFrom\": %s, \"stack\": \"medical\"}".formatted(time)))
                .hasFieldOrPropertyWithValue("code", ErrorCode.INVALID_OPTION)
                .hasMessageContaining("routes.jsonl', whose line 2 is no route")
                .hasMessageContaining("validFrom")
                .hasMessageContaining("2026-01-31T08:00:00Z");
    }

    @ParameterizedTest
    @ValueSource(strings = {"null", "\"\"", "[1]", "{}"})
    void routesWithoutKeyAreRefusedByFileAndLine(String key) {
        assertThatThrownBy(() -> routes("{\"key\": %s, \"stack\": \"legal\"}".formatted(key)))
                .hasMessageContaining("line 1 is no route: it lacks a key or a stack");
    }

    @ParameterizedTest
    @CsvSource({
        "1769846399999, medical",
        "1769846400000, legal",
        "2026-01-31T07:59:59.999Z, medical",
        "2026-01-31T08:00:00Z, legal",
        "2026-01-31T09:00:00+01:00, legal",
        "2026-01-31T08:59:00+01:00, medical",
        // Before 1970.
        "-1, medical",
        "1950-01-01T00:00:00Z, medical"
    })
    void timesAreMillisecondsOrIso(String time, String stack) throws IOException {
        StackChoice iso = routes(
                "{\"key\": \"x\", \"stack\": \"medical\"}",
                "{\"key\": \"x\", \"validFrom\": \"2026-01-31T09:00:00+01:00\", \"stack\": \"legal\"}");
        StackChoice millis = routes(
                "{\"k\": \"x\", \"stack\": \"medical\"}", "{\"k\": \"x\", \"t\": 1769846400000, \"stack\": \"legal\"}");

        assertThat(choose(iso, Map.of("k", "x", "t", time))).isEqualTo(stack);
        assertThat(choose(millis, Map.of("k", "x", "t", time))).isEqualTo(stack);
    }

    @Test
    void rowsWithoutKeyHaveNoRoute() throws IOException {
        StackChoice routes =
                routes("{\"key\": \"null\", \"stack\": \"legal\"}", "{\"key\": \"x\", \"stack\": \"medical\"}");

        assertThat(choose(routes, Map.of("t", 1))).isEqualTo("finance");
        assertThat(choose(routes, Map.of("k", "", "t", 1))).isEqualTo("finance");
        assertThat(choose(routes, Map.of("k", "null", "t", 1))).isEqualTo("legal");
    }

    @Test
    void rowsFromNoTimeAreErrors() throws IOException {
        StackChoice routes = routes("{\"key\": \"x\", \"stack\": \"legal\"}");

        assertThatThrownBy(() -> choose(routes, Map.of("k", "x", "t", "soon")))
                .hasFieldOrPropertyWithValue("code", ErrorCode.INVALID_REQUEST)
                .hasMessageContaining("in, line 7: the field 't' is 'soon'")
                .hasMessageContaining("2026-01-31T08:00:00Z");
        assertThatThrownBy(() -> choose(routes, Map.of("k", "x"))).hasMessageContaining("no field 't'");
    }
}
