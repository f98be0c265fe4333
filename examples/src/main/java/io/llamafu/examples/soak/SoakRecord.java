package io.llamafu.examples.soak;

import io.llamafu.examples.JsonLines;

import javax.annotation.Nullable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * A JSON object of the topic {@code records}. All fields except the number may be null or contain garbage.
 *
 * @param number identifies the record, whatever its id contains; it is also its key in Kafka, so that an unreadable
 *     value has a number too
 * @param problem why the value could not be read; null if it could
 */
public record SoakRecord(
        long number,
        @Nullable String id,
        @Nullable String key,
        @Nullable String text,
        @Nullable String stack,
        @Nullable Map<String, Float> scales,
        @Nullable SoakSampling sampling,
        @Nullable Integer maxTokens,
        @Nullable Long eventTime,
        @Nullable String problem) {
    private static final JsonLines<SoakRecord> JSON = JsonLines.of(SoakRecord.class);
    private static final int SHOWN_BYTES = 40;

    static SoakRecord of(long number, String key, String text, @Nullable String stack, long eventTime) {
        return new SoakRecord(number, "record-" + number, key, text, stack, null, null, null, eventTime, null);
    }

    /** Never throws: an unreadable value gives a record with its problem. */
    static SoakRecord read(byte[] key, @Nullable byte[] value) {
        long number = Long.parseLong(new String(key, StandardCharsets.US_ASCII));
        if (value == null) {
            return unreadable(number, "The record has no value.");
        }
        try {
            return JSON.read(value);
        } catch (IOException e) {
            int shown = Math.min(value.length, SHOWN_BYTES);
            return unreadable(
                    number,
                    "The value of %d bytes is not a record; it begins with '%s'. Send JSON in UTF-8."
                            .formatted(value.length, new String(value, 0, shown, StandardCharsets.ISO_8859_1)));
        }
    }

    private static SoakRecord unreadable(long number, String problem) {
        return new SoakRecord(number, null, null, null, null, null, null, null, null, problem);
    }

    byte[] kafkaKey() {
        return Long.toString(number).getBytes(StandardCharsets.US_ASCII);
    }

    byte[] toJson() {
        return AsciiJson.write(this);
    }

    SoakRecord withId(@Nullable String newId) {
        return new SoakRecord(number, newId, key, text, stack, scales, sampling, maxTokens, eventTime, problem);
    }

    SoakRecord withKey(@Nullable String newKey) {
        return new SoakRecord(number, id, newKey, text, stack, scales, sampling, maxTokens, eventTime, problem);
    }

    SoakRecord withText(@Nullable String newText) {
        return new SoakRecord(number, id, key, newText, stack, scales, sampling, maxTokens, eventTime, problem);
    }

    SoakRecord withStack(@Nullable String newStack) {
        return new SoakRecord(number, id, key, text, newStack, scales, sampling, maxTokens, eventTime, problem);
    }

    SoakRecord withScales(Map<String, Float> newScales) {
        return new SoakRecord(number, id, key, text, stack, newScales, sampling, maxTokens, eventTime, problem);
    }

    SoakRecord withSampling(SoakSampling newSampling) {
        return new SoakRecord(number, id, key, text, stack, scales, newSampling, maxTokens, eventTime, problem);
    }

    SoakRecord withMaxTokens(int newMaxTokens) {
        return new SoakRecord(number, id, key, text, stack, scales, sampling, newMaxTokens, eventTime, problem);
    }

    SoakRecord withEventTime(@Nullable Long newEventTime) {
        return new SoakRecord(number, id, key, text, stack, scales, sampling, maxTokens, newEventTime, problem);
    }
}
