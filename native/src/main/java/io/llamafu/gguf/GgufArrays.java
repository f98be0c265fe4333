package io.llamafu.gguf;

import io.llamafu.LlamafuException;

/** Reads the arrays that a {@link GgufFile} leaves in the file, one element at a time. */
public final class GgufArrays {
    private GgufArrays() {}

    /** Receives the strings of an array in order. The bytes are valid only during the call. */
    @FunctionalInterface
    public interface StringVisitor {
        void visit(long index, byte[] bytes, int length);
    }

    /** Receives the integers of an array in order. */
    @FunctionalInterface
    public interface IntegerVisitor {
        void visit(long index, long value);
    }

    /**
     * Visits every string of an array.
     *
     * @param maxBytes the longest string accepted
     * @throws LlamafuException with the invalid code of the file's kind if the array is absent, has another type, is
     *     cut off, or contains a longer string
     */
    public static void forEachString(GgufFile gguf, String key, int maxBytes, StringVisitor visitor) {
        GgufValue.Array array = gguf.array(key);
        if (array.elementType() != GgufValueType.STRING) {
            throw gguf.invalid(
                    "has %s elements in '%s', but they must be strings.".formatted(array.elementType(), key));
        }
        byte[] bytes = new byte[maxBytes];
        try (LittleEndianInput input = LittleEndianInput.open(gguf.kind(), gguf.path())) {
            input.seek(array.fileOffset());
            for (long index = 0; index < array.count(); index++) {
                long length = input.int64("a string length");
                input.require(length, "a string");
                if (length > maxBytes) {
                    throw gguf.invalid("has a string of %d bytes at index %d of '%s', but at most %d are accepted."
                            .formatted(length, index, key, maxBytes));
                }
                input.bytes(bytes, (int) length, "a string");
                visitor.visit(index, bytes, (int) length);
            }
        }
    }

    /**
     * Visits every integer of an array.
     *
     * @throws LlamafuException with the invalid code of the file's kind if the array is absent, has another type, or is
     *     cut off
     */
    public static void forEachInteger(GgufFile gguf, String key, IntegerVisitor visitor) {
        GgufValue.Array array = gguf.array(key);
        if (!array.elementType().isInteger() && array.elementType() != GgufValueType.BOOL) {
            throw gguf.invalid(
                    "has %s elements in '%s', but they must be integers.".formatted(array.elementType(), key));
        }
        try (LittleEndianInput input = LittleEndianInput.open(gguf.kind(), gguf.path())) {
            input.seek(array.fileOffset());
            for (long index = 0; index < array.count(); index++) {
                visitor.visit(index, GgufReader.readInteger(input, array.elementType(), key));
            }
        }
    }
}
