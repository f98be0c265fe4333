package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufTensorData;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * Converts the weights of a tensor from safetensors to GGUF, reading, changing and writing them in parts. Both formats
 * store the rows of a matrix one after another.
 *
 * @param factor multiplies each weight
 * @param rowsOfHead rows per head, if the rows of each head are to be reordered, see {@link RotaryRows}
 */
record ConvertedWeights(
        SafetensorsFile file, SafetensorsTensor tensor, WeightType type, double factor, OptionalInt rowsOfHead)
        implements GgufTensorData {
    private static final int PART_ELEMENTS = 16 * 1024;

    @Override
    public void writeTo(OutputStream out) throws IOException {
        int partElements = rowsOfHead.isPresent() ? rowsOfHead.getAsInt() * (int) tensor.columns() : PART_ELEMENTS;
        float[] part = new float[(int) Math.min(partElements, tensor.elements())];
        for (long first = 0; first < tensor.elements(); first += part.length) {
            int count = (int) Math.min(part.length, tensor.elements() - first);
            file.read(tensor, first, part, count);
            GgufTensorData.floats(type.tensorType(), convert(part, count)).writeTo(out);
        }
    }

    private float[] convert(float[] part, int count) {
        float[] values = rowsOfHead.isPresent()
                ? RotaryRows.interleave(part, rowsOfHead.getAsInt())
                : Arrays.copyOf(part, count);
        for (int index = 0; index < count; index++) {
            values[index] = convert(values[index]);
        }
        return values;
    }

    private float convert(float value) {
        float scaled = factor == 1 ? value : (float) (value * factor);
        if (!Float.isFinite(scaled)) {
            throw file.invalid("has the weight %s in '%s', but weights must be finite; train it again."
                    .formatted(scaled, tensor.name()));
        }
        if (!type.holds(scaled)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "The weight %s of '%s' is too large for F16, and for any adapter; train it again."
                            .formatted(scaled, tensor.name()));
        }
        return scaled;
    }
}
