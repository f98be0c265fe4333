package io.llamafu;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Texts in UTF-8. A Java string may hold an unpaired surrogate, which has no UTF-8 form. */
public final class Utf8 {
    private Utf8() {}

    /**
     * A text in UTF-8.
     *
     * @param what the text is, as the beginning of a sentence
     * @throws LlamafuException with INVALID_TEXT if it has an unpaired surrogate
     */
    public static byte[] encode(String text, String what) {
        requireEncodable(text, what);
        return text.getBytes(UTF_8);
    }

    /** Bytes of a text in UTF-8; of a surrogate, half of its pair's. */
    public static int length(String text) {
        int length = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            length += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3;
        }
        return length;
    }

    /** Throws what {@link #encode} throws. */
    public static void requireEncodable(String text, String what) {
        int unpaired = unpairedSurrogate(text);
        if (unpaired >= 0) {
            throw new LlamafuException(
                    ErrorCode.INVALID_TEXT,
                    "%s is not valid UTF-16: an unpaired surrogate at index %d; clean the text first."
                            .formatted(what, unpaired));
        }
    }

    /** The index of the first unpaired surrogate; -1 if there is none. */
    public static int unpairedSurrogate(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                if (!Character.isSupplementaryCodePoint(text.codePointAt(i))) {
                    return i;
                }
                i++;
            }
        }
        return -1;
    }
}
