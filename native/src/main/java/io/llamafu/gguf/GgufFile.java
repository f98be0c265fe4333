package io.llamafu.gguf;

import io.llamafu.LlamafuException;

import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * The header of a GGUF file: everything except the weights and long metadata, which stay in the file.
 *
 * @param kind what the file was read as; it determines the error codes
 * @param path the file
 * @param version version of the format, 2 or 3
 * @param alignment alignment of tensor data in bytes, a power of two
 * @param metadata by key, in file order
 * @param tensors by name, in file order; their data is within the file and does not overlap
 * @param dataOffset start of the tensor data, in bytes from the beginning of the file
 * @param fileSize bytes
 */
public record GgufFile(
        GgufKind kind,
        Path path,
        int version,
        int alignment,
        Map<String, GgufValue> metadata,
        Map<String, GgufTensor> tensors,
        long dataOffset,
        long fileSize) {

    public GgufFile {
        requireNonNull(kind, "kind is null");
        requireNonNull(path, "path is null");
        metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
        tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    }

    /**
     * A string.
     *
     * @throws LlamafuException with the invalid code of the file's kind if the value is absent or not a string
     */
    public String string(String key) {
        return findString(key).orElseThrow(() -> missing(key));
    }

    /**
     * A string, empty if the key is absent.
     *
     * @throws LlamafuException with the invalid code of the file's kind if the value is not a string, or is too long to
     *     hold
     */
    public Optional<String> findString(String key) {
        return find(key, GgufValue.Text.class, "a string of moderate length").map(GgufValue.Text::value);
    }

    /** An integer of any width; see {@link #string}. */
    public long integer(String key) {
        return findInteger(key).orElseThrow(() -> missing(key));
    }

    public Optional<Long> findInteger(String key) {
        return find(key, GgufValue.IntegerNumber.class, "an integer").map(GgufValue.IntegerNumber::value);
    }

    /** A FLOAT32 or FLOAT64, empty if the key is absent. */
    public Optional<Double> findFloat(String key) {
        return find(key, GgufValue.FloatNumber.class, "a floating-point number").map(GgufValue.FloatNumber::value);
    }

    public Optional<Boolean> findFlag(String key) {
        return find(key, GgufValue.Flag.class, "true or false").map(GgufValue.Flag::value);
    }

    /** An array, to be read with {@link GgufArrays}; see {@link #string}. */
    public GgufValue.Array array(String key) {
        return findArray(key).orElseThrow(() -> missing(key));
    }

    public Optional<GgufValue.Array> findArray(String key) {
        return find(key, GgufValue.Array.class, "an array");
    }

    public Optional<GgufTensor> findTensor(String name) {
        return Optional.ofNullable(tensors.get(name));
    }

    /** The bytes of all tensors, without padding. */
    public long tensorBytes() {
        return tensors.values().stream().mapToLong(GgufTensor::byteSize).sum();
    }

    /** An error of this file's kind; the problem completes the sentence "The model 'x.gguf' ...". */
    public LlamafuException invalid(String problem) {
        return kind.invalid(path, problem);
    }

    private <T extends GgufValue> Optional<T> find(String key, Class<T> type, String description) {
        GgufValue value = metadata.get(key);
        if (value == null) {
            return Optional.empty();
        }
        if (!type.isInstance(value)) {
            throw invalid("has '%s' as %s, but it must be %s.".formatted(key, value.type(), description));
        }
        return Optional.of(type.cast(value));
    }

    private LlamafuException missing(String key) {
        return invalid("has no '%s', which is required; convert it again with llama.cpp's tools.".formatted(key));
    }
}
