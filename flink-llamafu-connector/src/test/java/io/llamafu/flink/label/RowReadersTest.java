package io.llamafu.flink.label;

import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Every line of a text file is a row, well-formed or not, and reading can begin at any of them. */
class RowReadersTest {
    @TempDir
    Path folder;

    private InputFile file(byte[] content) throws IOException {
        Path path = Files.write(folder.resolve("in"), content);
        return new InputFile(path.toUri().toString(), "in");
    }

    /** The field {@code text} of each row, or the code of what is wrong with it. */
    private static List<String> read(LabelFormat format, InputFile file, Position from) throws IOException {
        List<String> rows = new ArrayList<>();
        try (RowReader reader = format.read(file, ',', from)) {
            for (Row row = reader.next(); row != null; row = reader.next()) {
                try {
                    rows.add(row.text("text"));
                } catch (LlamafuException e) {
                    rows.add(e.code().name());
                }
            }
        }
        return rows;
    }

    private List<String> read(LabelFormat format, String content) throws IOException {
        return read(format, file(content.getBytes(UTF_8)), Position.START);
    }

    /** From each position that a reader gives, the rows after it are read. */
    private void assertThatEveryPositionIsAStart(LabelFormat format, InputFile file) throws IOException {
        List<String> all = read(format, file, Position.START);
        try (RowReader reader = format.read(file, ',', Position.START)) {
            for (int read = 1; reader.next() != null; read++) {
                assertThat(read(format, file, reader.position())).isEqualTo(all.subList(read, all.size()));
            }
        }
    }

    @Test
    void malformedLinesOfJsonAreRows() throws IOException {
        String content =
                "\uFEFF{\"text\": \"a\"}\r\n\n{\"text\": 7}\n{\"text\": \"b\", \"text\": \"c\"}\n[1]\n{\"text\"\n"
                        + "{\"other\": 1}\n{\"text\": null}\n{\"text\": \"d\"} x\n{\"text\": \"\\ud83d\\ude00\"}";

        assertThat(read(LabelFormat.JSONL, content))
                .containsExactly(
                        "a",
                        "INVALID_REQUEST",
                        "MALFORMED_ROW",
                        "MALFORMED_ROW",
                        "MALFORMED_ROW",
                        "INVALID_REQUEST",
                        "INVALID_REQUEST",
                        "MALFORMED_ROW",
                        "\uD83D\uDE00");
        assertThatEveryPositionIsAStart(LabelFormat.JSONL, file(content.getBytes(UTF_8)));
    }

    @Test
    void messagesNameFileAndLine() throws IOException {
        try (RowReader reader = LabelFormat.JSONL.read(file("{}\n\n{x}\n".getBytes(UTF_8)), ',', Position.START)) {
            Row first = reader.next();
            assertThatThrownBy(() -> first.text("text")).hasMessageContaining("in, line 1: there is no field 'text'");
            assertThat(reader.next().malformed()).hasMessageContaining("in, line 3: no JSON");
        }
    }

    @Test
    void linesThatAreNoTextAreRows() throws IOException {
        byte[] content = "{\"text\": \"?\"}\n{\"text\": \"b\"}\n".getBytes(UTF_8);
        content["{\"text\": \"".length()] = (byte) 0xFF;

        assertThat(read(LabelFormat.JSONL, file(content), Position.START)).containsExactly("INVALID_TEXT", "b");
    }

    @Test
    void nestedFieldsHaveAPath() throws IOException {
        try (RowReader reader = LabelFormat.JSONL.read(
                file("{\"a\": {\"b.c\": \"x\"}, \"a.d\": \"y\"}".getBytes(UTF_8)), ',', Position.START)) {
            Row row = reader.next();

            assertThat(row.text("a.b.c")).isEqualTo("x");
            assertThat(row.text("a.d")).isEqualTo("y");
        }
    }

    @Test
    void quotesOfCsvMayHoldAnything() throws IOException {
        String content = "id,text\r\n1,plain\r\n2,\"a, \"\"b\"\"\r\nc\"\r\n\r\n3,\n4,5\" pipe";

        assertThat(read(LabelFormat.CSV, content)).containsExactly("plain", "a, \"b\"\r\nc", "", "5\" pipe");
        assertThatEveryPositionIsAStart(LabelFormat.CSV, file(content.getBytes(UTF_8)));
    }

    /** A quote that is not closed spoils its line, not those after it. */
    @Test
    void malformedLinesOfCsvAreRows() throws IOException {
        String content = "id,text\n1,\"open\n2,b\n3\n4,\"x\"y\n5,e,f\n6,\"g\"\n7,\"open again\n8,h\n";

        assertThat(read(LabelFormat.CSV, content))
                .containsExactly(
                        "MALFORMED_ROW",
                        "b",
                        "MALFORMED_ROW",
                        "MALFORMED_ROW",
                        "MALFORMED_ROW",
                        "g",
                        "MALFORMED_ROW",
                        "h");
        assertThatEveryPositionIsAStart(LabelFormat.CSV, file(content.getBytes(UTF_8)));
    }

    @Test
    void compressedFilesAreRefused() {
        assertThatThrownBy(() -> read(LabelFormat.JSONL, file(new byte[] {0x1F, (byte) 0x8B, 8}), Position.START))
                .hasMessageContaining("decompress it");
    }

    /** Each line leaves a quote open, also if one is open before it. Looking for its end from each would take hours. */
    @ParameterizedTest
    @ValueSource(strings = {"", "b\"c", "\u00FF"})
    @Timeout(60)
    void quotesThatStayOpenCostNoMoreThanTheirLines(String last) throws IOException {
        int lines = 200_000;
        byte[] content = ("id,text\n" + "a\",\"\n".repeat(lines) + last).getBytes(ISO_8859_1);

        List<String> rows = read(LabelFormat.CSV, file(content), Position.START);

        assertThat(rows.subList(0, lines - 100_000)).containsOnly("MALFORMED_ROW");
        assertThat(rows.subList(lines - 1, rows.size()))
                .containsExactlyElementsOf(
                        switch (last) {
                            case "" -> List.of("MALFORMED_ROW");
                            case "b\"c" -> List.of("MALFORMED_ROW", "MALFORMED_ROW");
                            default -> List.of("INVALID_TEXT", "INVALID_TEXT");
                        });
    }

    @Test
    void headersOfCsvNameEachColumnOnce() {
        assertThatThrownBy(() -> read(LabelFormat.CSV, "text,text\na,b\n")).hasMessageContaining("the same name");
    }

    @Test
    void emptyFilesHaveNoRows() throws IOException {
        assertThat(read(LabelFormat.JSONL, "")).isEmpty();
        assertThat(read(LabelFormat.CSV, "")).isEmpty();
        assertThat(read(LabelFormat.CSV, "id,text\n")).isEmpty();
    }
}
