package io.llamafu.flink.routing;

import java.util.ArrayList;
import java.util.List;

/**
 * Keys written with wildcards: {@code *} is any number of characters, {@code ?} is one, a backslash takes the next as it
 * is. A character is a code point, so an emoji is one. No regular expression, because one from a stream could take
 * exponential time.
 */
final class KeyPattern {
    /** The most characters of a pattern, and below {@link #LONGEST_KEY}, so that a match takes milliseconds at most. */
    static final int LONGEST = 1_000;
    /** The most characters of a key that patterns are asked for. */
    static final int LONGEST_KEY = 10_000;

    private static final int MANY = -1;
    private static final int ONE = -2;

    /** Code points, and the two wildcards. */
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

    /** The characters that all keys that match begin with; the whole pattern if it has no wildcard. */
    String beginning() {
        return beginning;
    }

    /** The characters that all keys that match end with. */
    String ending() {
        return ending;
    }

    /** Takes time in the product of both lengths at most. */
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
                // The last star takes one character more; earlier ones need not be tried again.
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
