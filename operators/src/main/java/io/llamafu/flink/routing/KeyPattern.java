package io.llamafu.flink.routing;

/**
 * Keys written with wildcards: {@code *} is any number of characters, {@code ?} is one, a backslash takes the next as it
 * is. No regular expression, because one from a stream could take exponential time.
 */
final class KeyPattern {
    private KeyPattern() {}

    /** Takes time in the product of both lengths at most. */
    static boolean matches(String pattern, String key) {
        int inPattern = 0;
        int inKey = 0;
        int lastStar = -1;
        int keyOfLastStar = 0;
        while (inKey < key.length()) {
            char wanted = inPattern < pattern.length() ? pattern.charAt(inPattern) : '\0';
            boolean escaped = wanted == '\\' && inPattern + 1 < pattern.length();
            if (inPattern < pattern.length() && wanted == '*') {
                lastStar = inPattern++;
                keyOfLastStar = inKey;
            } else if (inPattern < pattern.length() && isOne(pattern, inPattern, escaped, key.charAt(inKey))) {
                inPattern += escaped ? 2 : 1;
                inKey++;
            } else if (lastStar >= 0) {
                // The last star takes one more character; earlier ones need not be tried again.
                inPattern = lastStar + 1;
                inKey = ++keyOfLastStar;
            } else {
                return false;
            }
        }
        while (inPattern < pattern.length() && pattern.charAt(inPattern) == '*') {
            inPattern++;
        }
        return inPattern == pattern.length();
    }

    private static boolean isOne(String pattern, int index, boolean escaped, char character) {
        return escaped
                ? pattern.charAt(index + 1) == character
                : pattern.charAt(index) == '?' || pattern.charAt(index) == character;
    }
}
