package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;

import javax.annotation.Nullable;

/**
 * Checks that texts survive serialization between tasks. An unpaired surrogate has no UTF-8 form and would arrive as a
 * question mark, so a key would belong to another subtask than the one it was sent to.
 */
final class Texts {
    private static final int MOST_SHOWN = 100;

    private Texts() {}

    /**
     * Rejects a text that would arrive changed.
     *
     * @param what names the text, as the beginning of a sentence
     * @throws LlamafuException with INVALID_TEXT
     */
    static void requireWellFormed(String what, @Nullable String text) {
        int unpaired = text == null ? -1 : Utf8.unpairedSurrogate(text);
        if (unpaired >= 0) {
            throw new LlamafuException(
                    ErrorCode.INVALID_TEXT,
                    "%s is not valid UTF-16: '%s' has an unpaired surrogate at index %d; clean the text first."
                            .formatted(what, shown(text), unpaired));
        }
    }

    static boolean isWellFormed(@Nullable String text) {
        return text == null || Utf8.unpairedSurrogate(text) < 0;
    }

    /** In Java notation, so that the message itself can be serialized. */
    private static String shown(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().limit(MOST_SHOWN).forEach(point -> {
            if (point >= Character.MIN_SURROGATE && point <= Character.MAX_SURROGATE) {
                shown.append("\\u%04X".formatted(point));
            } else {
                shown.appendCodePoint(point);
            }
        });
        return shown.toString();
    }
}
