package io.llamafu.flink.label;

import javax.annotation.Nullable;
import java.io.IOException;
import java.io.OutputStream;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Adds the answer to the row of the input, whose characters stay as they are. Null is an empty field. */
final class CsvWriter implements RowWriter {
    private final OutputStream out;
    private final char delimiter;
    private final String emptyRow;

    /** @param header of the input */
    CsvWriter(OutputStream out, String header, char delimiter, String prefix) throws IOException {
        this.out = out;
        this.delimiter = delimiter;
        this.emptyRow = String.valueOf(delimiter).repeat(columns(header, delimiter) - 1);
        line(header, Answer.columnNames(prefix).stream());
    }

    private static int columns(String header, char delimiter) {
        int columns = 1;
        boolean quoted = false;
        for (int i = 0; i < header.length(); i++) {
            char character = header.charAt(i);
            quoted ^= character == '"';
            columns += !quoted && character == delimiter ? 1 : 0;
        }
        return columns;
    }

    @Override
    public void write(@Nullable Object row, Answer answer) throws IOException {
        line(
                row == null ? emptyRow : (String) row,
                Answer.COLUMNS.stream()
                        .map(column -> column.value().apply(answer))
                        .map(value -> value == null ? "" : String.valueOf(value)));
    }

    private void line(String row, Stream<String> added) throws IOException {
        String tail = added.map(this::quoted).collect(Collectors.joining(String.valueOf(delimiter)));
        out.write((row + delimiter + tail + "\n").getBytes(UTF_8));
    }

    private String quoted(String value) {
        boolean plain = value.chars().noneMatch(c -> c == delimiter || c == '"' || c == '\n' || c == '\r');
        return plain ? value : '"' + value.replace("\"", "\"\"") + '"';
    }

    @Override
    public void finish() {}
}
