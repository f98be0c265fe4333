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
        ByteBuffer out = ByteBuffer.allocate(blocks * type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < blocks; block++) {
            switch (type) {
                case Q8_0 -> putQ8(out);
                case Q4_0 -> putQ4(out);
                case Q4_K -> putQ4K(out);
                case Q6_K -> putQ6K(out);
                default -> out.put(GgufBlocks.encode(type, uniform(type.blockElements())));
            }
        }
        return out.array();
    }

    static boolean canDraw(GgufTensorType type) {
        return type == GgufTensorType.Q4_K || type == GgufTensorType.Q6_K || GgufBlocks.canEncode(type);
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
        putRandom(out, 32);
    }

    /** Levels from -7 to 7, and 0 in place of -8 so that the mean is 0, have a standard deviation of 4.18. */
    private void putQ4(ByteBuffer out) {
        out.putShort(GgufBlocks.toFloat16((float) (standardDeviation / 4.18)));
        for (int index = 0; index < 2; index++) {
            out.putLong(withoutZeroNibbles(random.nextLong()));
        }
    }

    /** Eight groups of 32 weights, all with the scale 10; levels from 0 to 15, less 7.5, have a standard deviation of 4.61. */
    private void putQ4K(ByteBuffer out) {
        double scale = standardDeviation / (10 * 4.61);
        out.putShort(GgufBlocks.toFloat16((float) scale));
        out.putShort(GgufBlocks.toFloat16((float) (7.5 * scale)));
        // The low bits of scales and offsets of four groups, then those of the other four, in nibbles.
        out.putLong(0x0a0a_0a0a_0a0a_0a0aL).putInt(0xaaaa_aaaa);
        putRandom(out, 128);
    }

    /** Sixteen groups of 16 weights, all with the scale 10; levels from -32 to 31 have a standard deviation of 18.5. */
    private void putQ6K(ByteBuffer out) {
        putRandom(out, 128 + 64);
        out.putLong(0x0a0a_0a0a_0a0a_0a0aL).putLong(0x0a0a_0a0a_0a0a_0a0aL);
        out.putShort(GgufBlocks.toFloat16((float) (standardDeviation / (10 * 18.5))));
    }

    private void putRandom(ByteBuffer out, int bytes) {
        for (int index = 0; index < bytes; index += Long.BYTES) {
            out.putLong(random.nextLong());
        }
    }

    /** Replaces each nibble of 0 (the level -8) by 8 (the level 0). */
    private static long withoutZeroNibbles(long nibbles) {
        long any = nibbles | (nibbles >>> 1);
        any = (any | (any >>> 2)) & 0x1111111111111111L;
        return nibbles | ((any ^ 0x1111111111111111L) << 3);
    }
}
