package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import javax.annotation.Nullable;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * CSV as in RFC 4180, with a header; blank lines are no rows. A row whose quotes do not match is malformed as far as its first
 * line, so that one bad quote does not take the rest of the file with it.
 */
final class CsvReader implements RowReader {
    /** A row of more lines is malformed. */
    private static final int MOST_ROW_LINES = 100_000;

    private static final String NO_TEXT = "the line is no text in UTF-8.";

    private final InputFile file;
    private final char delimiter;
    private final TextLines lines;
    private final String header;
    private final Map<String, Integer> columns = new HashMap<>();
    private final List<String> names;

    /** The last line ahead. */
    @Nullable
    private TextLines.Line last;

    /** That line, if a row ends there whose quote is open before it; in all other lines ahead it stays open. */
    @Nullable
    private Ending ending;

    /** Whether all lines to the end of the file are ahead. */
    private boolean lastIsAhead;

    CsvReader(InputFile file, char delimiter, Position from) throws IOException {
        this.file = file;
        this.delimiter = delimiter;
        TextLines opened = new TextLines(file, Position.START);
        try {
            CsvRecord first = record(opened);
            header = first == null ? "" : first.text();
            names = first == null ? List.of() : first.fields();
            checkHeader(first);
            if (from.offset() != 0) {
                opened.close();
                opened = new TextLines(file, from);
                last = null;
                ending = null;
                lastIsAhead = false;
            }
        } catch (IOException | RuntimeException e) {
            opened.close();
            throw e;
        }
        lines = opened;
    }

    private void checkHeader(@Nullable CsvRecord first) {
        String problem = first == null
                ? null
                : first.problem() != null
                        ? first.problem()
                        : new HashSet<>(names).size() < names.size() ? "two columns have the same name." : null;
        if (problem != null) {
            throw new LlamafuException(
                    ErrorCode.INPUT_UNAVAILABLE, "%s, the header: %s".formatted(file.place(1), problem));
        }
        for (int i = 0; i < names.size(); i++) {
            columns.put(names.get(i), i);
        }
    }

    /**
     * A record.
     *
     * @param text as written, without the end of its last line
     * @param problem why it is none; then the text and the bytes are those of its first line
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record CsvRecord(
            long line, byte[] bytes, String text, List<String> fields, @Nullable String problem, ErrorCode code) {
        static CsvRecord broken(TextLines.Line first, String problem, ErrorCode code) {
            return new CsvRecord(first.number(), first.bytes(), "", List.of(), problem, code);
        }
    }

    @Override
    @Nullable
    public Row next() throws IOException {
        CsvRecord record = record(lines);
        if (record == null) {
            return null;
        }
        String place = file.place(record.line());
        if (record.problem() != null) {
            return Row.malformed(place, record.bytes(), record.code(), record.problem());
        }
        List<String> fields = record.fields();
        if (fields.size() != names.size()) {
            return Row.malformed(
                    place,
                    record.bytes(),
                    ErrorCode.MALFORMED_ROW,
                    "the row has %d fields, but the header has %d.".formatted(fields.size(), names.size()));
        }
        return new Row(place, record.bytes(), record.text(), field -> value(fields, field), null);
    }

    private Object value(List<String> fields, String field) {
        Integer column = columns.get(field);
        return column == null ? Row.MISSING : fields.get(column);
    }

    /**
     * A line at which a row ends whose quote is open before it.
     *
     * @param problem why the row is malformed then
     */
    private record Ending(TextLines.Line line, @Nullable String problem, ErrorCode code) {}

    /** Joins lines until all quotes are closed. */
    @Nullable
    private CsvRecord record(TextLines from) throws IOException {
        TextLines.Line first = from.next();
        while (first != null && first.bytes().length == 0) {
            first = from.next();
        }
        if (first == null) {
            return null;
        }
        if (first.tooLong()) {
            return CsvRecord.broken(
                    first, "the line has more than %d bytes.".formatted(MOST_ROW_BYTES), ErrorCode.MALFORMED_ROW);
        }
        Fields fields = new Fields(false);
        try {
            fields.take(Json.utf8(first.bytes()));
        } catch (CharacterCodingException e) {
            return CsvRecord.broken(first, NO_TEXT, ErrorCode.INVALID_TEXT);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(first.bytes());
        if (fields.isOpen()) {
            Ending found = ending(from, first);
            if (found.problem() != null) {
                return CsvRecord.broken(first, found.problem(), found.code());
            }
            String end = first.end();
            while (fields.isOpen()) {
                TextLines.Line next = from.next();
                bytes.write(end.getBytes(UTF_8));
                bytes.write(next.bytes());
                fields.take(end + Json.utf8(next.bytes()));
                end = next.end();
            }
        }
        return fields.problem() != null
                ? CsvRecord.broken(first, fields.problem(), ErrorCode.MALFORMED_ROW)
                : new CsvRecord(
                        first.number(),
                        bytes.toByteArray(),
                        bytes.toString(UTF_8),
                        fields.all(),
                        null,
                        ErrorCode.MALFORMED_ROW);
    }

    /**
     * Where the row ends whose first line leaves a quote open. Each line is judged once, however many rows before it have
     * such a quote: or a file of them would take quadratic time.
     */
    private Ending ending(TextLines from, TextLines.Line first) throws IOException {
        if (last != null && last.number() <= first.number()) {
            last = null;
            ending = null;
        }
        while (true) {
            if (last != null && !isWithin(first, last)) {
                return unclosed(first);
            }
            if (ending != null) {
                return ending;
            }
            TextLines.Line next = lastIsAhead ? null : from.lookAhead();
            if (next == null) {
                lastIsAhead = true;
                return new Ending(first, "a quote is not closed.", ErrorCode.MALFORMED_ROW);
            }
            last = next;
            ending = judge(next);
        }
    }

    private static boolean isWithin(TextLines.Line first, TextLines.Line line) {
        return line.offset() + line.bytes().length - first.offset() <= MOST_ROW_BYTES
                && line.number() - first.number() < MOST_ROW_LINES;
    }

    private static Ending unclosed(TextLines.Line line) {
        return new Ending(
                line,
                "a quote is not closed within %d bytes and %d lines.".formatted(MOST_ROW_BYTES, MOST_ROW_LINES),
                ErrorCode.MALFORMED_ROW);
    }

    /** Null if a quote that is open before the line is open after it. */
    @Nullable
    private Ending judge(TextLines.Line line) {
        if (line.tooLong()) {
            return unclosed(line);
        }
        Fields fields = new Fields(true);
        try {
            fields.take(Json.utf8(line.bytes()));
        } catch (CharacterCodingException e) {
            return new Ending(line, NO_TEXT, ErrorCode.INVALID_TEXT);
        }
        return fields.isOpen() ? null : new Ending(line, fields.problem(), ErrorCode.MALFORMED_ROW);
    }

    /** Splits a record that arrives in pieces. */
    private final class Fields {
        private final List<String> fields = new ArrayList<>();
        private final StringBuilder field = new StringBuilder();
        private boolean quoted;
        /** After a quote within a quoted field: its end, or the first of two. */
        private boolean afterQuote = false;

        private boolean atStart = true;

        @Nullable
        private String problem = null;

        /** @param quoted whether the text begins within a quoted field */
        private Fields(boolean quoted) {
            this.quoted = quoted;
        }

        void take(String piece) {
            for (int i = 0; i < piece.length() && problem == null; i++) {
                take(piece.charAt(i));
            }
        }

        private void take(char character) {
            if (quoted && !afterQuote) {
                if (character == '"') {
                    afterQuote = true;
                } else {
                    field.append(character);
                }
            } else if (afterQuote && character == '"') {
                field.append('"');
                afterQuote = false;
            } else if (character == delimiter) {
                end();
            } else if (afterQuote) {
                problem = "there is text between the quote that ends a field and the delimiter.";
            } else if (atStart && character == '"') {
                quoted = true;
                atStart = false;
            } else {
                field.append(character);
                atStart = false;
            }
        }

        private void end() {
            fields.add(field.toString());
            field.setLength(0);
            quoted = false;
            afterQuote = false;
            atStart = true;
        }

        boolean isOpen() {
            return problem == null && quoted && !afterQuote;
        }

        @Nullable
        String problem() {
            return problem;
        }

        /** Ends the last field. */
        List<String> all() {
            end();
            return List.copyOf(fields);
        }
    }

    @Override
    public Position position() {
        return lines.position();
    }

    @Override
    public String schema() {
        return header;
    }

    @Override
    public List<String> columns() {
        return names;
    }

    @Override
    public void close() throws IOException {
        lines.close();
    }
}
