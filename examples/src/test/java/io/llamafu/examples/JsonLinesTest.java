package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class JsonLinesTest {
    private static final String GOOD = "{\"tenant\": \"a\", \"eventTime\": 7, \"stack\": \"legal:0.5\"}";

    @TempDir
    Path folder;

    @Test
    void readsALineAsARecord() throws IOException {
        assertThat(read(GOOD, GOOD.replace("legal:0.5", "日本 🙂")))
                .containsExactly(new Route("a", 7, "legal:0.5"), new Route("a", 7, "日本 🙂"));
    }

    @Test
    void writesWhatItReads() throws IOException {
        Route route = new Route("\"a\"\n", 7, "é");
        assertThat(JsonLines.write(route)).doesNotContain("\n");
        assertThat(read(JsonLines.write(route))).containsExactly(route);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "no JSON",
                "{\"tenant\": \"a\", \"eventTime\": 7}",
                "{\"tenant\": \"a\", \"stack\": \"legal\"}",
                "{\"tenant\": null, \"eventTime\": 7, \"stack\": \"legal\"}",
                "{\"tenant\": \"a\", \"eventTime\": null, \"stack\": \"legal\"}",
                "{\"tenant\": \"a\", \"eventTime\": 7, \"stack\": \"legal\", \"more\": 1}",
                GOOD + GOOD,
            })
    void lineThatIsNoRecordIsAnErrorThatNamesIt(String line) {
        assertThatThrownBy(() -> read(GOOD, line))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("routes.jsonl: line 2 is no Route: ");
    }

    private List<Route> read(String... lines) throws IOException {
        Path file = Files.writeString(folder.resolve("routes.jsonl"), String.join("\n", lines) + "\n");
        return JsonLines.of(Route.class).readAll(file);
    }
}
