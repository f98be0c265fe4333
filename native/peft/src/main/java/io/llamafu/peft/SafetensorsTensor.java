package io.llamafu.peft;

import java.util.List;
import java.util.stream.Collectors;

import static java.util.Objects.requireNonNull;

/**
 * The location of a tensor in a safetensors file.
 *
 * @param shape positive lengths, the row length last, as in PyTorch
 * @param fileOffset first byte of the data, from the beginning of the file
 * @param elements product of the shape
 */
record SafetensorsTensor(String name, SafetensorsType type, List<Long> shape, long fileOffset, long elements) {
    SafetensorsTensor {
        requireNonNull(name, "name is null");
        requireNonNull(type, "type is null");
        shape = List.copyOf(shape);
    }

    boolean isMatrix() {
        return shape.size() == 2;
    }

    /** Of a matrix. */
    long rows() {
        return shape.get(0);
    }

    /** Of a matrix. */
    long columns() {
        return shape.get(1);
    }

    /** As shown in messages: {@code [128 x 4]}. */
    String shapeText() {
        return shape.stream().map(String::valueOf).collect(Collectors.joining(" x ", "[", "]"));
    }
}
