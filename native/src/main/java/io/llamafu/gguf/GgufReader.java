package io.llamafu.gguf;

import io.llamafu.LlamafuException;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static java.util.Objects.requireNonNull;

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian) without trusting it: whatever the file contains, less
 * than 64 MB are allocated, and the tensors of the result are within the file, in order and without overlap.
 *
 * <p>{@code docs/gguf.md} of ggml describes the format. The rules are those of llama.cpp v0.5.0 ({@code gguf.cpp}) or
 * stricter: names are printable ASCII, and counts have the limits below. llama.cpp searches for duplicates at quadratic
 * cost, so a count that it accepts could still hang it.
 */
public final class GgufReader {
    static final int MAX_METADATA = 4_096;
    static final int MAX_TENSORS = 16_384;
    static final int MAX_KEY_BYTES = 1_024;
    /** Longer strings stay in the file. */
    static final int MAX_TEXT_BYTES = 1 << 20;
    /** The total size of all strings held; further ones stay in the file. */
    static final int MAX_TEXT_BYTES_TOTAL = 4 << 20;

    private static final int MAGIC = 0x46554747; // "GGUF"
    private static final String ALIGNMENT_KEY = "general.alignment";
    private static final int DEFAULT_ALIGNMENT = 32;
    /** Key length, a key of one byte, type, and a value of one byte. */
    private static final int LEAST_METADATA_BYTES = 8 + 1 + 4 + 1;
    /** Name length, a name of one byte, dimension count, one dimension, type and offset. */
    private static final int LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

    private final LittleEndianInput input;
    private int textBytes;

    private GgufReader(LittleEndianInput input) {
        this.input = input;
    }

    /**
     * Reads a header.
     *
     * @throws LlamafuException with {@code MODEL_NOT_FOUND} or {@code ADAPTER_NOT_FOUND} if the path is not a regular
     *     file that can be opened, and with {@code MODEL_INVALID} or {@code ADAPTER_INVALID} if the file is malformed
     */
    public static GgufFile read(Path path, GgufKind kind) {
        requireNonNull(path, "path is null");
        requireNonNull(kind, "kind is null");
        try (LittleEndianInput input = LittleEndianInput.open(kind, path)) {
            return new GgufReader(input).read(kind, path);
        }
    }

    private GgufFile read(GgufKind kind, Path path) {
        int version = readVersion();
        int tensorCount = readCount("tensors", MAX_TENSORS, LEAST_TENSOR_BYTES);
        int metadataCount = readCount("metadata entries", MAX_METADATA, LEAST_METADATA_BYTES);
        Map<String, GgufValue> metadata = readMetadata(metadataCount);
        int alignment = alignment(metadata);
        List<TensorHeader> headers = readTensorHeaders(tensorCount);
        long dataOffset = tensorCount == 0 ? input.position() : padded(input.position(), alignment);
        Map<String, GgufTensor> tensors = placeTensors(headers, dataOffset, alignment);
        return new GgufFile(kind, path, version, alignment, metadata, tensors, dataOffset, input.size());
    }

    private int readVersion() {
        int magic = input.int32("the magic number");
        if (magic != MAGIC) {
            throw input.invalid(
                    "is no GGUF file: it begins with 0x%08x instead of 'GGUF'. Convert it with llama.cpp's tools."
                            .formatted(Integer.reverseBytes(magic)));
        }
        int version = input.int32("the version");
        if (version != 2 && version != 3) {
            throw input.invalid(
                    (version & 0xffff) == 0 && version != 0
                            ? "is a big-endian GGUF file; convert it to little-endian."
                            : "has GGUF version %s, but 2 or 3 is read; convert it again with llama.cpp's tools."
                                    .formatted(Integer.toUnsignedString(version)));
        }
        return version;
    }

    private int readCount(String what, int limit, int leastBytes) {
        long count = input.int64("the number of " + what);
        if (count < 0 || count > limit || count * leastBytes > input.remaining()) {
            throw input.invalid("says that it has %s %s, but at most %d are read and %d bytes are left; it is damaged."
                    .formatted(Long.toUnsignedString(count), what, limit, input.remaining()));
        }
        return (int) count;
    }

    private Map<String, GgufValue> readMetadata(int count) {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        for (int index = 0; index < count; index++) {
            String key = readName("metadata key " + index, MAX_KEY_BYTES);
            if (metadata.put(key, readValue(key)) != null) {
                throw input.invalid("has the metadata key '%s' twice; it is damaged.".formatted(key));
            }
        }
        return metadata;
    }

    private GgufValue readValue(String key) {
        GgufValueType type = readValueType(key);
        if (type == GgufValueType.ARRAY) {
            return readArray(key);
        }
        if (type == GgufValueType.STRING) {
            return readText(key);
        }
        if (type == GgufValueType.BOOL) {
            return new GgufValue.Flag(input.int8(key) != 0);
        }
        if (type == GgufValueType.FLOAT32) {
            return new GgufValue.FloatNumber(type, input.float32(key));
        }
        if (type == GgufValueType.FLOAT64) {
            return new GgufValue.FloatNumber(type, input.float64(key));
        }
        return new GgufValue.IntegerNumber(type, readInteger(input, type, key));
    }

    private GgufValueType readValueType(String key) {
        long id = input.uint32(key);
        return GgufValueType.ofId(id)
                .orElseThrow(() -> input.invalid("has the unknown value type %d for '%s' before byte %d; it is damaged."
                        .formatted(id, key, input.position())));
    }

    static long readInteger(LittleEndianInput input, GgufValueType type, String what) {
        return switch (type) {
            case UINT8 -> Byte.toUnsignedLong((byte) input.int8(what));
            case INT8, BOOL -> input.int8(what);
            case UINT16 -> Short.toUnsignedLong((short) input.int16(what));
            case INT16 -> input.int16(what);
            case UINT32 -> input.uint32(what);
            case INT32 -> input.int32(what);
            case UINT64, INT64 -> input.int64(what);
            case FLOAT32, FLOAT64, STRING, ARRAY -> throw new IllegalArgumentException(type + " is no integer");
        };
    }

    private GgufValue readText(String key) {
        long length = input.int64(key);
        input.require(length, key);
        if (length > MAX_TEXT_BYTES || textBytes + length > MAX_TEXT_BYTES_TOTAL) {
            long offset = input.position();
            input.skip(length, key);
            return new GgufValue.LongText(offset, length);
        }
        textBytes += (int) length;
        return new GgufValue.Text(readBytes((int) length, key));
    }

    private GgufValue.Array readArray(String key) {
        GgufValueType type = readValueType(key);
        if (type == GgufValueType.ARRAY) {
            throw input.invalid("has arrays within the array '%s', which llama.cpp does not read.".formatted(key));
        }
        long count = input.int64(key);
        int leastBytes = type == GgufValueType.STRING ? Long.BYTES : type.bytes();
        if (count < 0 || count > input.remaining() / leastBytes) {
            throw input.invalid(
                    "gives the array '%s' %s elements at byte %d, but only %d bytes are left; it is damaged."
                            .formatted(key, Long.toUnsignedString(count), input.position(), input.remaining()));
        }
        GgufValue.Array array = new GgufValue.Array(type, count, input.position());
        if (type == GgufValueType.STRING) {
            for (long index = 0; index < count; index++) {
                input.skip(input.int64(key), key);
            }
        } else {
            input.skip(count * leastBytes, key);
        }
        return array;
    }

    private int alignment(Map<String, GgufValue> metadata) {
        GgufValue value = metadata.get(ALIGNMENT_KEY);
        if (value == null) {
            return DEFAULT_ALIGNMENT;
        }
        if (value instanceof GgufValue.IntegerNumber number
                && number.type() == GgufValueType.UINT32
                && number.value() >= 8
                && number.value() <= 1 << 20
                && Long.bitCount(number.value()) == 1) {
            return (int) number.value();
        }
        throw input.invalid("has '%s' as %s, but it must be a UINT32 power of two from 8 to 1048576."
                .formatted(ALIGNMENT_KEY, value));
    }

    /** A tensor as the file describes it; its position is not yet checked. */
    private record TensorHeader(
            String name, GgufTensorType type, List<Long> dimensions, long byteSize, long relativeOffset) {}

    private List<TensorHeader> readTensorHeaders(int count) {
        List<TensorHeader> headers = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            headers.add(readTensorHeader(index));
        }
        return headers;
    }

    private TensorHeader readTensorHeader(int index) {
        String name = readName("tensor name " + index, GgufTensor.MAX_NAME - 1);
        List<Long> dimensions = readDimensions(name);
        long typeId = input.uint32(name);
        GgufTensorType type = GgufTensorType.ofId(typeId)
                .orElseThrow(() -> input.invalid(
                        "has tensor '%s' in the unknown type %d; quantize the model again with a current llama.cpp."
                                .formatted(name, typeId)));
        long byteSize = byteSize(name, type, dimensions);
        return new TensorHeader(name, type, dimensions, byteSize, input.int64(name));
    }

    private List<Long> readDimensions(String name) {
        long count = input.uint32(name);
        if (count < 1 || count > GgufTensor.MAX_DIMENSIONS) {
            throw input.invalid("has tensor '%s' with %d dimensions, but it must have 1 to %d."
                    .formatted(name, count, GgufTensor.MAX_DIMENSIONS));
        }
        List<Long> dimensions = new ArrayList<>();
        for (int index = 0; index < count; index++) {
            long dimension = input.int64(name);
            if (dimension <= 0) {
                throw input.invalid("has tensor '%s' with a dimension of %s, but each must be 1 to 2^63 - 1."
                        .formatted(name, Long.toUnsignedString(dimension)));
            }
            dimensions.add(dimension);
        }
        return dimensions;
    }

    /** The bytes of a tensor, computed with overflow checks. */
    private long byteSize(String name, GgufTensorType type, List<Long> dimensions) {
        long row = dimensions.get(0);
        if (row % type.blockElements() != 0) {
            throw input.invalid("has tensor '%s' with rows of %d elements, but %s needs a multiple of %d."
                    .formatted(name, row, type, type.blockElements()));
        }
        try {
            // The element count is checked too, because llama.cpp computes it in 63 bits.
            long bytes = Math.multiplyExact(row / type.blockElements(), type.blockBytes());
            long elements = row;
            for (long dimension : dimensions.subList(1, dimensions.size())) {
                bytes = Math.multiplyExact(bytes, dimension);
                elements = Math.multiplyExact(elements, dimension);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw input.invalid(
                    "has tensor '%s' with dimensions %s, whose product overflows.".formatted(name, dimensions));
        }
    }

    /** llama.cpp requires tensors to follow each other, each padded to the alignment, so no two can overlap. */
    private Map<String, GgufTensor> placeTensors(List<TensorHeader> headers, long dataOffset, int alignment) {
        Map<String, GgufTensor> tensors = new LinkedHashMap<>();
        long next = dataOffset;
        for (TensorHeader header : headers) {
            if (header.relativeOffset() != next - dataOffset) {
                throw input.invalid(
                        "has tensor '%s' at offset %s of its data, but the tensor before it ends at %d; it is damaged."
                                .formatted(
                                        header.name(),
                                        Long.toUnsignedString(header.relativeOffset()),
                                        next - dataOffset));
            }
            if (next > input.size() || header.byteSize() > input.size() - next) {
                throw input.invalid(
                        "is cut off: tensor '%s' needs %d bytes from byte %d, but the file has %d. Fetch it again."
                                .formatted(header.name(), header.byteSize(), next, input.size()));
            }
            GgufTensor tensor =
                    new GgufTensor(header.name(), header.type(), header.dimensions(), next, header.byteSize());
            if (tensors.put(header.name(), tensor) != null) {
                throw input.invalid("has tensor '%s' twice; it is damaged.".formatted(header.name()));
            }
            next = padded(next + header.byteSize(), alignment);
        }
        return tensors;
    }

    static long padded(long offset, int alignment) {
        return (offset + alignment - 1) & -alignment;
    }

    private String readName(String what, int maxBytes) {
        long length = input.int64("the length of " + what);
        if (length < 1 || length > maxBytes) {
            throw input.invalid("gives %s a length of %s bytes at byte %d, but it must be 1 to %d; it is damaged."
                    .formatted(what, Long.toUnsignedString(length), input.position(), maxBytes));
        }
        String name = readBytes((int) length, what);
        if (!name.chars().allMatch(character -> character > ' ' && character < 0x7f)) {
            throw input.invalid("has a %s that is not printable ASCII before byte %d; it is damaged."
                    .formatted(what, input.position()));
        }
        return name;
    }

    private String readBytes(int length, String what) {
        input.require(length, what);
        byte[] bytes = new byte[length];
        input.bytes(bytes, length, what);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
