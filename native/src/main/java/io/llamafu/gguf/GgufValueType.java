package io.llamafu.gguf;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The type of a metadata value ({@code enum gguf_type}). */
public enum GgufValueType {
    UINT8(0, 1),
    INT8(1, 1),
    UINT16(2, 2),
    INT16(3, 2),
    UINT32(4, 4),
    INT32(5, 4),
    FLOAT32(6, 4),
    BOOL(7, 1),
    STRING(8, 0),
    ARRAY(9, 0),
    UINT64(10, 8),
    INT64(11, 8),
    FLOAT64(12, 8);

    private static final Map<Long, GgufValueType> BY_ID =
            Arrays.stream(values()).collect(Collectors.toUnmodifiableMap(type -> (long) type.id, Function.identity()));

    private final int id;
    private final int bytes;

    GgufValueType(int id, int bytes) {
        this.id = id;
        this.bytes = bytes;
    }

    /** The number of the type in a file. */
    int id() {
        return id;
    }

    /** Bytes of one value; 0 for strings and arrays, which carry their length. */
    int bytes() {
        return bytes;
    }

    boolean isInteger() {
        return this != STRING && this != ARRAY && this != BOOL && !isFloat();
    }

    boolean isFloat() {
        return this == FLOAT32 || this == FLOAT64;
    }

    static Optional<GgufValueType> ofId(long id) {
        return Optional.ofNullable(BY_ID.get(id));
    }
}
