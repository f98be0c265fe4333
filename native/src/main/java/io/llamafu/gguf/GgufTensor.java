package io.llamafu.gguf;

import java.util.List;
import java.util.stream.Collectors;

import static java.util.Objects.requireNonNull;

/**
 * The location of a tensor in its file.
 *
 * @param name 1 to 63 printable ASCII characters
 * @param type how elements are stored
 * @param dimensions 1 to 4 positive lengths, the row length first, like ggml's {@code ne}
 * @param fileOffset first byte of the data, from the beginning of the file
 * @param byteSize bytes of the data, without padding
 */
public record GgufTensor(String name, GgufTensorType type, List<Long> dimensions, long fileOffset, long byteSize) {

    /** The most dimensions of a tensor ({@code GGML_MAX_DIMS}). */
    public static final int MAX_DIMENSIONS = 4;

    /** The size limit of names, in bytes with the final NUL ({@code GGML_MAX_NAME}). */
    public static final int MAX_NAME = 64;

    public GgufTensor {
        requireNonNull(name, "name is null");
        requireNonNull(type, "type is null");
        dimensions = List.copyOf(dimensions);
    }

    /** The length of a dimension; 1 beyond the last, as in ggml. */
    public long dimension(int index) {
        return index < dimensions.size() ? dimensions.get(index) : 1;
    }

    /** The number of dimensions, not counting trailing ones of length 1. */
    public int rank() {
        int rank = dimensions.size();
        while (rank > 1 && dimensions.get(rank - 1) == 1) {
            rank--;
        }
        return rank;
    }

    public long elements() {
        long elements = 1;
        for (long dimension : dimensions) {
            elements *= dimension;
        }
        return elements;
    }

    /** The dimensions as shown in messages: {@code [128 x 4]}. */
    public String shape() {
        return dimensions.stream().map(String::valueOf).collect(Collectors.joining(" x ", "[", "]"));
    }
}
