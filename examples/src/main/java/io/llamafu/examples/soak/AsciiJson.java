package io.llamafu.examples.soak;

import io.llamafu.examples.JsonLines;

import java.nio.charset.StandardCharsets;

/**
 * JSON that preserves strings with unpaired surrogates: all non-ASCII characters are escaped, because UTF-8 has no form
 * for half a character.
 */
final class AsciiJson {
    private static final int FIRST_BEYOND_ASCII = 0x7f;

    private AsciiJson() {}

    static byte[] write(Object value) {
        String json = JsonLines.write(value);
        StringBuilder ascii = new StringBuilder(json.length());
        json.chars().forEach(character -> {
            if (character < FIRST_BEYOND_ASCII) {
                ascii.append((char) character);
            } else {
                ascii.append("\\u%04x".formatted(character));
            }
        });
        return ascii.toString().getBytes(StandardCharsets.US_ASCII);
    }
}
