package io.llamafu.examples.soak;

import io.llamafu.examples.JsonLines;

import java.nio.charset.StandardCharsets;

/**
 * JSON whose strings come back as they were, unpaired surrogates included: what is not ASCII is written as an escape,
 * since UTF-8 has no form for half a character.
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
