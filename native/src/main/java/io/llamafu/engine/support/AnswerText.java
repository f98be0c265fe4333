package io.llamafu.engine.support;

import java.util.Arrays;
import java.util.List;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The bytes of an answer as they are generated, cut off at a stop string: the one whose end appears first, and of those that
 * end there the longest. So the answer depends on the text alone, not on where its tokens end. Tokens may end inside a
 * character; the text never does.
 */
public final class AnswerText {
    private final byte[][] stops;
    private byte[] bytes = new byte[64];
    private int length;
    private boolean stopped;

    public AnswerText(List<String> stops) {
        this.stops = stops.stream().map(stop -> stop.getBytes(UTF_8)).toArray(byte[][]::new);
    }

    /** Appends a token's bytes. After a stop string has appeared, the text ends before it and nothing is appended. */
    public void append(byte[] source, int offset, int count) {
        if (stopped || count == 0) {
            return;
        }
        if (length + count > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + count));
        }
        System.arraycopy(source, offset, bytes, length, count);
        int firstNew = length;
        length += count;
        for (int end = firstNew + 1; end <= length && !stopped; end++) {
            cutAtStop(end);
        }
    }

    /** Cuts off the longest stop string that ends there. */
    private void cutAtStop(int end) {
        int start = end;
        for (byte[] stop : stops) {
            int at = end - stop.length;
            if (at >= 0 && at < start && Arrays.equals(bytes, at, end, stop, 0, stop.length)) {
                start = at;
            }
        }
        if (start < end) {
            length = start;
            stopped = true;
        }
    }

    public boolean stopped() {
        return stopped;
    }

    /** The text so far, without an incomplete character at its end. Invalid bytes become U+FFFD. */
    @Override
    public String toString() {
        return new String(bytes, 0, length - incompleteTail(), UTF_8);
    }

    /** How many bytes at the end belong to an incomplete character. */
    private int incompleteTail() {
        for (int back = 1; back <= Math.min(3, length); back++) {
            int value = bytes[length - back] & 0xff;
            boolean continuation = value >= 0x80 && value < 0xc0;
            if (!continuation) {
                return charactersBytes(value) > back ? back : 0;
            }
        }
        return 0;
    }

    /** The length of the character that starts with a byte; 1 if none does. */
    private static int charactersBytes(int first) {
        if (first >= 0xf0 && first <= 0xf4) {
            return 4;
        }
        if (first >= 0xe0 && first < 0xf0) {
            return 3;
        }
        return first >= 0xc2 && first < 0xe0 ? 2 : 1;
    }
}
