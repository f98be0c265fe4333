package io.llamafu.flink.label;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.llamafu.ErrorCode;

import javax.annotation.Nullable;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** One JSON object a line; blank lines are no rows. */
final class JsonLinesReader implements RowReader {
    private final InputFile file;
    private final TextLines lines;
    private List<String> columns = List.of();

    JsonLinesReader(InputFile file, Position from) throws IOException {
        this.file = file;
        this.lines = new TextLines(file, from);
    }

    @Override
    @Nullable
    public Row next() throws IOException {
        for (TextLines.Line line = lines.next(); line != null; line = lines.next()) {
            if (!isBlank(line.bytes())) {
                return row(line);
            }
        }
        return null;
    }

    private static boolean isBlank(byte[] bytes) {
        for (byte character : bytes) {
            if (character != ' ' && character != '\t' && character != '\r') {
                return false;
            }
        }
        return true;
    }

    private Row row(TextLines.Line line) {
        String place = file.place(line.number());
        if (line.tooLong()) {
            return Row.malformed(
                    place,
                    line.bytes(),
                    ErrorCode.MALFORMED_ROW,
                    "the line has more than %d bytes.".formatted(MOST_ROW_BYTES));
        }
        try {
            JsonNode json = Json.MAPPER.readTree(Json.utf8(line.bytes()));
            if (!(json instanceof ObjectNode object)) {
                return Row.malformed(place, line.bytes(), ErrorCode.MALFORMED_ROW, "the line is no JSON object.");
            }
            if (columns.isEmpty()) {
                columns = new ArrayList<>(
                        object.properties().stream().map(Map.Entry::getKey).toList());
            }
            return new Row(place, line.bytes(), line.bytes(), field -> value(object, field), null);
        } catch (CharacterCodingException e) {
            return Row.malformed(place, line.bytes(), ErrorCode.INVALID_TEXT, "the line is no text in UTF-8.");
        } catch (JsonProcessingException e) {
            return Row.malformed(
                    place, line.bytes(), ErrorCode.MALFORMED_ROW, "no JSON: %s.".formatted(e.getOriginalMessage()));
        }
    }

    /** A name with dots is that of a field if there is one, else a path. */
    @Nullable
    private static Object value(JsonNode object, String field) {
        JsonNode found = object.get(field);
        int dot = field.indexOf('.');
        if (found == null && dot > 0 && object.get(field.substring(0, dot)) instanceof ObjectNode inner) {
            return value(inner, field.substring(dot + 1));
        }
        if (found == null) {
            return Row.MISSING;
        }
        return switch (found.getNodeType()) {
            case NULL, MISSING -> null;
            case STRING -> found.textValue();
            case BOOLEAN -> found.booleanValue();
            case NUMBER -> found.numberValue();
            case ARRAY, OBJECT, BINARY, POJO -> found;
        };
    }

    @Override
    public Position position() {
        return lines.position();
    }

    @Override
    public String schema() {
        return "";
    }

    @Override
    public List<String> columns() {
        return columns;
    }

    @Override
    public void close() throws IOException {
        lines.close();
    }
}
