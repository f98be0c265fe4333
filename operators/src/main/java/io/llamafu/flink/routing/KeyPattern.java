package io.llamafu.flink.routing;

import java.util.ArrayList;
import java.util.List;

/**
 * A pattern for keys: {@code *} matches any number of characters, {@code ?} matches one, a backslash escapes the next.
 * A character is a code point, so an emoji is one. Not a regular expression, because one from a stream could take
 * exponential time.
 */
final class KeyPattern {
    /** The most characters of a pattern; with {@link #LONGEST_KEY} it limits a match to milliseconds. */
    static final int LONGEST = 1_000;
    /** The most characters of a key that is matched. */
    static final int LONGEST_KEY = 10_000;

    private static final int MANY = -1;
    private static final int ONE = -2;

    /** Code points, and two values for the wildcards. */
    private final int[] tokens;

    private final String beginning;
    private final String ending;

    private KeyPattern(int[] tokens) {
        this.tokens = tokens;
        int first = 0;
        while (first < tokens.length && tokens[first] >= 0) {
            first++;
        }
        int last = tokens.length;
        while (last > 0 && tokens[last - 1] >= 0) {
            last--;
        }
        beginning = new String(tokens, 0, first);
        ending = new String(tokens, last, tokens.length - last);
    }

    static KeyPattern of(String pattern) {
        List<Integer> tokens = new ArrayList<>();
        int[] points = pattern.codePoints().toArray();
        for (int i = 0; i < points.length; i++) {
            if (points[i] == '\\' && i + 1 < points.length) {
                i++;
                tokens.add(points[i]);
            } else if (points[i] == '*') {
                tokens.add(MANY);
            } else if (points[i] == '?') {
                tokens.add(ONE);
            } else {
                tokens.add(points[i]);
            }
        }
        return new KeyPattern(tokens.stream().mapToInt(Integer::intValue).toArray());
    }

    /** The common prefix of all matching keys; the whole pattern if it has no wildcard. */
    String beginning() {
        return beginning;
    }

    /** The common suffix of all matching keys. */
    String ending() {
        return ending;
    }

    /** At most quadratic: the product of both lengths. */
    boolean matches(String key) {
        int token = 0;
        int inKey = 0;
        int afterLastStar = -1;
        int keyOfLastStar = 0;
        while (inKey < key.length()) {
            int character = key.codePointAt(inKey);
            if (token < tokens.length && tokens[token] == MANY) {
                afterLastStar = ++token;
                keyOfLastStar = inKey;
            } else if (token < tokens.length && (tokens[token] == ONE || tokens[token] == character)) {
                token++;
                inKey += Character.charCount(character);
            } else if (afterLastStar >= 0) {
                // The last star takes one more character; earlier stars need not be tried again.
                token = afterLastStar;
                keyOfLastStar += Character.charCount(key.codePointAt(keyOfLastStar));
                inKey = keyOfLastStar;
            } else {
                return false;
            }
        }
        while (token < tokens.length && tokens[token] == MANY) {
            token++;
        }
        return token == tokens.length;
    }
}
