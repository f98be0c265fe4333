package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import javax.annotation.Nullable;

/**
 * A row of an input file.
 *
 * @param place file and line, for messages
 * @param content its bytes, by which it is compared; of a malformed row what could be read of it
 * @param record what the writer of the format takes; null if the row is malformed
 * @param fields of the row
 * @param malformed why it is no row of the format
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record Row(String place, byte[] content, @Nullable Object record, Fields fields, @Nullable LlamafuException malformed) {

    /** The fields of a row, by name or, within objects, by a path such as {@code a.b}. */
    @FunctionalInterface
    interface Fields {
        /** A String, a Number, a Boolean, null, {@link #MISSING}, or another object for anything else. */
        @Nullable
        Object get(String field);
    }

    static final Object MISSING = new Object();

    static Row malformed(String place, byte[] content, ErrorCode code, String why) {
        return new Row(
                place, content, null, field -> MISSING, new LlamafuException(code, "%s: %s".formatted(place, why)));
    }

    /**
     * A field that must be a text.
     *
     * @throws LlamafuException with INVALID_REQUEST if it is missing, null, or something else
     */
    String text(String field) {
        Object value = present(field);
        if (value instanceof String text) {
            return text;
        }
        throw invalid("the field '%s' is %s, but must be a text".formatted(field, kind(value)));
    }

    /**
     * A field that has a written form.
     *
     * @throws LlamafuException with INVALID_REQUEST if it is missing, null, an array or an object
     */
    String scalar(String field) {
        Object value = present(field);
        if (value instanceof String || value instanceof Number || value instanceof Boolean) {
            return String.valueOf(value);
        }
        throw invalid("the field '%s' is %s, but must be a text, a number or a boolean".formatted(field, kind(value)));
    }

    /** Like {@link #scalar}; null if it is missing, null, or an empty text. */
    @Nullable
    String optional(String field) {
        Object value = fields.get(field);
        return value == null || value == MISSING || value.equals("") ? null : scalar(field);
    }

    private Object present(String field) {
        if (malformed != null) {
            throw malformed;
        }
        Object value = fields.get(field);
        if (value == MISSING) {
            throw invalid("there is no field '%s'".formatted(field));
        }
        if (value == null) {
            throw invalid("the field '%s' is null".formatted(field));
        }
        return value;
    }

    LlamafuException invalid(String why) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, "%s: %s.".formatted(place, why));
    }

    private static String kind(Object value) {
        if (value instanceof Number || value instanceof Boolean) {
            return "'" + value + "'";
        }
        return value instanceof String ? "a text" : "an array or an object";
    }
}
