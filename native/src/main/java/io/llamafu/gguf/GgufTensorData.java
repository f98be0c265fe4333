package io.llamafu.gguf;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.SplittableRandom;

/** The source of a tensor's bytes for {@link GgufWriter}. */
@FunctionalInterface
public interface GgufTensorData {

    /** Writes exactly the bytes of the tensor, in parts, so the tensor need not fit in memory. */
    void writeTo(OutputStream out) throws IOException;

    /** Floats encoded as F32, F16, BF16, Q8_0 or Q4_0. */
    static GgufTensorData floats(GgufTensorType type, float[] values) {
        return out -> {
            int part = 64 * 1024;
            for (int start = 0; start < values.length; start += part) {
                out.write(GgufBlocks.encode(
                        type, Arrays.copyOfRange(values, start, Math.min(values.length, start + part))));
            }
        };
    }

    /**
     * The same value for every element.
     *
     * @param type F32, F16, BF16, Q8_0 or Q4_0; any type for 0
     */
    static GgufTensorData constant(GgufTensorType type, long elements, float value) {
        return out -> {
            int part = 256;
            float[] values = new float[part];
            Arrays.fill(values, value);
            // Blocks of nothing but zeros have the scale 0.
            byte[] bytes = value == 0
                    ? new byte[part / type.blockElements() * type.blockBytes()]
                    : GgufBlocks.encode(type, values);
            long left = elements / type.blockElements() * type.blockBytes();
            for (; left > 0; left -= bytes.length) {
                out.write(bytes, 0, (int) Math.min(left, bytes.length));
            }
        };
    }

    /**
     * Weights distributed uniformly around 0, reproducible by seed. Quantized blocks are drawn directly, all with one
     * scale, which is fast enough for models of a gigabyte.
     *
     * @param type F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K
     * @param standardDeviation standard deviation of the elements
     */
    static GgufTensorData random(GgufTensorType type, long elements, long seed, double standardDeviation) {
        if (!RandomBlocks.canDraw(type)) {
            throw new IllegalArgumentException("Cannot draw random " + type);
        }
        return out -> {
            RandomBlocks blocks = new RandomBlocks(type, new SplittableRandom(seed), standardDeviation);
            long left = elements / type.blockElements();
            while (left > 0) {
                int part = (int) Math.min(left, Math.max(1, 8192 / type.blockElements()));
                out.write(blocks.next(part));
                left -= part;
            }
        };
    }
}
