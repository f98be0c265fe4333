package io.llamafu.gguf;

import io.llamafu.LlamafuException;

/** Reads the arrays that a {@link GgufFile} leaves in the file, an element at a time. */
public final class GgufArrays {
    private GgufArrays() {}

    /** Takes the strings of an array in turn. The bytes are only valid during the call. */
    @FunctionalInterface
    public interface StringVisitor {
        void visit(long index, byte[] bytes, int length);
    }

    /** Takes the integers of an array in turn. */
    @FunctionalInterface
    public interface IntegerVisitor {
        void visit(long index, long value);
    }

    /**
     * Visits every string of an array.
     *
     * @param maxBytes the longest string that is accepted
     * @throws LlamafuException with the invalid code of the file's kind if the array is absent, of another type, cut off,
     *     or has a longer string
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
     * @throws LlamafuException with the invalid code of the file's kind if the array is absent, of another type or cut off
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
