package io.llamafu.gguf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/** Draws the blocks of {@link GgufTensorData#random}. */
final class RandomBlocks {
    private final GgufTensorType type;
    private final SplittableRandom random;
    private final double standardDeviation;

    RandomBlocks(GgufTensorType type, SplittableRandom random, double standardDeviation) {
        this.type = type;
        this.random = random;
        this.standardDeviation = standardDeviation;
    }

    byte[] next(int blocks) {
        if (type != GgufTensorType.Q8_0 && type != GgufTensorType.Q4_0) {
            return GgufBlocks.encode(type, uniform(blocks));
        }
        ByteBuffer out = ByteBuffer.allocate(blocks * type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < blocks; block++) {
            if (type == GgufTensorType.Q8_0) {
                putQ8(out);
            } else {
                putQ4(out);
            }
        }
        return out.array();
    }

    private float[] uniform(int count) {
        float[] values = new float[count];
        double width = standardDeviation * Math.sqrt(12);
        for (int index = 0; index < count; index++) {
            values[index] = (float) ((random.nextDouble() - 0.5) * width);
        }
        return values;
    }

    /** Levels from -128 to 127 have a standard deviation of 73.9. */
    private void putQ8(ByteBuffer out) {
        out.putShort(GgufBlocks.toFloat16((float) (standardDeviation / 73.9)));
        for (int index = 0; index < 4; index++) {
            out.putLong(random.nextLong());
        }
    }

    /** Levels from -7 to 7, and 0 in place of -8 so that the mean is 0, have a standard deviation of 4.18. */
    private void putQ4(ByteBuffer out) {
        out.putShort(GgufBlocks.toFloat16((float) (standardDeviation / 4.18)));
        for (int index = 0; index < 2; index++) {
            out.putLong(withoutZeroNibbles(random.nextLong()));
        }
    }

    /** Replaces each nibble of 0 (the level -8) by 8 (the level 0). */
    private static long withoutZeroNibbles(long nibbles) {
        long any = nibbles | (nibbles >>> 1);
        any = (any | (any >>> 2)) & 0x1111111111111111L;
        return nibbles | ((any ^ 0x1111111111111111L) << 3);
    }
}
