package io.llamafu.gguf;

import static java.util.Objects.requireNonNull;

/** A metadata value. Long ones are not held: only where they lie in the file is kept. */
public sealed interface GgufValue {

    GgufValueType type();

    /**
     * An integer of any width.
     *
     * @param value the number; a UINT64 above 2^63 - 1 appears negative
     */
    record IntegerNumber(GgufValueType type, long value) implements GgufValue {}

    /** A FLOAT32 or FLOAT64. */
    record FloatNumber(GgufValueType type, double value) implements GgufValue {}

    record Flag(boolean value) implements GgufValue {
        @Override
        public GgufValueType type() {
            return GgufValueType.BOOL;
        }
    }

    /** A string, decoded from UTF-8 with malformed bytes replaced. */
    record Text(String value) implements GgufValue {
        public Text {
            requireNonNull(value, "value is null");
        }

        @Override
        public GgufValueType type() {
            return GgufValueType.STRING;
        }
    }

    /**
     * A string too long to hold.
     *
     * @param fileOffset its first byte, counted from the beginning of the file
     * @param byteSize its length
     */
    record LongText(long fileOffset, long byteSize) implements GgufValue {
        @Override
        public GgufValueType type() {
            return GgufValueType.STRING;
        }
    }

    /**
     * An array, which stays in the file; {@link GgufArrays} reads it.
     *
     * @param elementType the type of every element, never ARRAY
     * @param count how many elements
     * @param fileOffset the first element, counted from the beginning of the file
     */
    record Array(GgufValueType elementType, long count, long fileOffset) implements GgufValue {
        @Override
        public GgufValueType type() {
            return GgufValueType.ARRAY;
        }
    }
}
