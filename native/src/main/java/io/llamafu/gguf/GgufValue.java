package io.llamafu.gguf;

import static java.util.Objects.requireNonNull;

/** A metadata value. For long values only the location in the file is kept. */
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

    /** A string, decoded from UTF-8; malformed bytes are replaced. */
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
     * @param fileOffset first byte, from the beginning of the file
     * @param byteSize length in bytes
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
     * @param elementType type of every element, never ARRAY
     * @param count number of elements
     * @param fileOffset first element, from the beginning of the file
     */
    record Array(GgufValueType elementType, long count, long fileOffset) implements GgufValue {
        @Override
        public GgufValueType type() {
            return GgufValueType.ARRAY;
        }
    }
}
