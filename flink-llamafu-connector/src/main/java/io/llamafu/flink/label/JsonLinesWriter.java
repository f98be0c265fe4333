package io.llamafu.flink.label;

import javax.annotation.Nullable;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** Adds the answer to the line of the input, whose bytes stay as they are. */
final class JsonLinesWriter implements RowWriter {
    private final OutputStream out;
    private final String prefix;

    JsonLinesWriter(OutputStream out, String prefix) {
        this.out = out;
        this.prefix = prefix;
    }

    @Override
    public void write(@Nullable Object line, Answer answer) throws IOException {
        Map<String, Object> added = new LinkedHashMap<>();
        Answer.COLUMNS.forEach(
                column -> added.put(prefix + column.name(), column.value().apply(answer)));
        byte[] tail = Json.write(added);
        if (line == null) {
            out.write(tail);
        } else {
            byte[] head = object((byte[]) line);
            out.write(head);
            if (!isEmptyObject(head)) {
                out.write(',');
            }
            out.write(tail, 1, tail.length - 1);
        }
        out.write('\n');
    }

    /** A line that is an object, without its closing brace. */
    private static byte[] object(byte[] line) {
        int end = line.length - 1;
        while (line[end] != '}') {
            end--;
        }
        return Arrays.copyOf(line, end);
    }

    private static boolean isEmptyObject(byte[] head) {
        int last = head.length - 1;
        while (head[last] == ' ' || head[last] == '\t' || head[last] == '\r') {
            last--;
        }
        return head[last] == '{';
    }

    @Override
    public void finish() {}
}
