package io.llamafu.flink.routing;

/**
 * Keys written with wildcards: {@code *} is any number of characters, {@code ?} is one, a backslash takes the next as it
 * is. No regular expression, because one from a stream could take exponential time.
 */
final class KeyPattern {
    private static final char MANY = '*';
    private static final char ONE = '?';
    private static final char ESCAPE = '\\';

    private KeyPattern() {}

    /** Takes time in the product of both lengths at most. */
    static boolean matches(String pattern, String key) {
        int inPattern = 0;
        int inKey = 0;
        int afterLastStar = -1;
        int keyOfLastStar = 0;
        while (inKey < key.length()) {
            if (isStar(pattern, inPattern)) {
                afterLastStar = ++inPattern;
                keyOfLastStar = inKey;
            } else if (isOne(pattern, inPattern, key.charAt(inKey))) {
                inPattern += isEscape(pattern, inPattern) ? 2 : 1;
                inKey++;
            } else if (afterLastStar >= 0) {
                // The last star takes one character more; earlier ones need not be tried again.
                inPattern = afterLastStar;
                inKey = ++keyOfLastStar;
            } else {
                return false;
            }
        }
        while (isStar(pattern, inPattern)) {
            inPattern++;
        }
        return inPattern == pattern.length();
    }

    private static boolean isStar(String pattern, int index) {
        return index < pattern.length() && pattern.charAt(index) == MANY;
    }

    private static boolean isEscape(String pattern, int index) {
        return index + 1 < pattern.length() && pattern.charAt(index) == ESCAPE;
    }

    private static boolean isOne(String pattern, int index, char character) {
        if (isEscape(pattern, index)) {
            return pattern.charAt(index + 1) == character;
        }
        return index < pattern.length() && (pattern.charAt(index) == ONE || pattern.charAt(index) == character);
    }
}
