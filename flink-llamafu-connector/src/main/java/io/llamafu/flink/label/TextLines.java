package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.core.fs.FSDataInputStream;

import javax.annotation.Nullable;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;

/** The lines of a text file as bytes, with the place of each. Lines end with LF or CR LF. */
final class TextLines implements Closeable {
    private static final int BUFFER_BYTES = 64 << 10;
    private static final byte[] BYTE_ORDER_MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};

    /**
     * A line.
     *
     * @param number from 1
     * @param offset of its first byte
     * @param bytes without its end; the beginning of a line that is too long
     * @param end LF, CR LF, or nothing at the end of the file
     * @param tooLong whether it has more than {@link RowReader#MOST_ROW_BYTES}
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Line(long number, long offset, byte[] bytes, String end, boolean tooLong) {}

    private final FSDataInputStream in;
    private final byte[] buffer = new byte[BUFFER_BYTES];
    /** Read, but not returned by {@link #next} yet. */
    private final Deque<Line> ahead = new ArrayDeque<>();

    private int filled;
    private int used;
    private long offset;
    private long number;

    /** @throws LlamafuException with INPUT_UNAVAILABLE if the file is compressed */
    TextLines(InputFile file, Position from) throws IOException {
        in = file.open();
        try {
            if (from.offset() == 0) {
                skipMark(file);
            } else {
                in.seek(from.offset());
                offset = from.offset();
            }
            number = from.line();
        } catch (IOException | RuntimeException e) {
            in.close();
            throw e;
        }
    }

    private void skipMark(InputFile file) throws IOException {
        fill();
        if (filled >= 2 && buffer[0] == (byte) 0x1F && buffer[1] == (byte) 0x8B) {
            throw new LlamafuException(
                    ErrorCode.INPUT_UNAVAILABLE,
                    "%s is compressed with gzip; decompress it first."
                            .formatted(file.path().getPath()));
        }
        int matching = 0;
        while (matching < BYTE_ORDER_MARK.length
                && matching < filled
                && buffer[matching] == BYTE_ORDER_MARK[matching]) {
            matching++;
        }
        if (matching == BYTE_ORDER_MARK.length) {
            used = matching;
            offset = matching;
        }
    }

    /** The place of the next line. */
    Position position() {
        return ahead.isEmpty()
                ? new Position(offset, 0, number)
                : new Position(ahead.peekFirst().offset(), 0, ahead.peekFirst().number());
    }

    /** Null at the end. */
    @Nullable
    Line next() throws IOException {
        return ahead.isEmpty() ? read() : ahead.removeFirst();
    }

    /** The line after all that were read, which {@link #next} returns in its turn. Null at the end. */
    @Nullable
    Line lookAhead() throws IOException {
        Line line = read();
        if (line != null) {
            ahead.addLast(line);
        }
        return line;
    }

    @Nullable
    private Line read() throws IOException {
        long begin = offset;
        ByteArrayOutputStream line = new ByteArrayOutputStream(256);
        boolean tooLong = false;
        boolean any = false;
        while (used < filled || fill()) {
            any = true;
            int end = used;
            while (end < filled && buffer[end] != '\n') {
                end++;
            }
            int room = RowReader.MOST_ROW_BYTES - line.size();
            tooLong |= end - used > room;
            line.write(buffer, used, Math.min(end - used, room));
            boolean ended = end < filled;
            offset += end - used + (ended ? 1 : 0);
            used = ended ? end + 1 : end;
            if (ended) {
                return line(begin, line.toByteArray(), tooLong);
            }
        }
        return any ? new Line(number++, begin, line.toByteArray(), "", tooLong) : null;
    }

    private Line line(long begin, byte[] bytes, boolean tooLong) {
        boolean carriageReturn = !tooLong && bytes.length > 0 && bytes[bytes.length - 1] == '\r';
        return carriageReturn
                ? new Line(number++, begin, Arrays.copyOf(bytes, bytes.length - 1), "\r\n", false)
                : new Line(number++, begin, bytes, "\n", tooLong);
    }

    private boolean fill() throws IOException {
        used = 0;
        filled = Math.max(0, in.read(buffer, 0, buffer.length));
        return filled > 0;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
