package io.llamafu.gguf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Encodes floats as tensor blocks like {@code quantize_row_*_ref} of ggml: F32, F16, BF16, Q8_0 and Q4_0. Decodes those
 * of them that adapters are stored in.
 */
public final class GgufBlocks {
    private GgufBlocks() {}

    public static boolean canEncode(GgufTensorType type) {
        return switch (type) {
            case F32, F16, BF16, Q8_0, Q4_0 -> true;
            default -> false;
        };
    }

    /**
     * Encodes whole blocks.
     *
     * @param values elements, a multiple of the block size of the type
     * @return little-endian bytes
     */
    public static byte[] encode(GgufTensorType type, float[] values) {
        int elements = type.blockElements();
        if (values.length % elements != 0) {
            throw new IllegalArgumentException(
                    "%d values are no whole number of %s blocks".formatted(values.length, type));
        }
        ByteBuffer out = ByteBuffer.allocate(values.length / elements * type.blockBytes())
                .order(ByteOrder.LITTLE_ENDIAN);
        for (int start = 0; start < values.length; start += elements) {
            encodeBlock(type, values, start, out);
        }
        return out.array();
    }

    private static void encodeBlock(GgufTensorType type, float[] values, int start, ByteBuffer out) {
        switch (type) {
            case F32 -> out.putFloat(values[start]);
            case F16 -> out.putShort(toFloat16(values[start]));
            case BF16 -> out.putShort(toBfloat16(values[start]));
            case Q8_0 -> encodeQ8(values, start, out);
            case Q4_0 -> encodeQ4(values, start, out);
            default -> throw new IllegalArgumentException("Cannot encode " + type);
        }
    }

    private static void encodeQ8(float[] values, int start, ByteBuffer out) {
        float greatest = 0;
        for (int index = 0; index < 32; index++) {
            greatest = Math.max(greatest, Math.abs(values[start + index]));
        }
        float scale = greatest / 127;
        float inverse = scale == 0 ? 0 : 1 / scale;
        out.putShort(toFloat16(scale));
        for (int index = 0; index < 32; index++) {
            float scaled = values[start + index] * inverse;
            // As C's roundf: half away from zero.
            out.put((byte) (scaled < 0 ? -(int) (0.5f - scaled) : (int) (scaled + 0.5f)));
        }
    }

    private static void encodeQ4(float[] values, int start, ByteBuffer out) {
        float extreme = 0;
        for (int index = 0; index < 32; index++) {
            if (Math.abs(values[start + index]) > Math.abs(extreme)) {
                extreme = values[start + index];
            }
        }
        float scale = extreme / -8;
        float inverse = scale == 0 ? 0 : 1 / scale;
        out.putShort(toFloat16(scale));
        for (int index = 0; index < 16; index++) {
            int low = Math.min(15, (int) (values[start + index] * inverse + 8.5f));
            int high = Math.min(15, (int) (values[start + index + 16] * inverse + 8.5f));
            out.put((byte) (low | (high << 4)));
        }
    }

    /** IEEE 754 half precision, rounded to nearest, ties to even. */
    public static short toFloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = (bits >>> 16) & 0x8000;
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return (short) (sign | 0x7e00);
        }
        if (magnitude >= 0x477ff000) {
            return (short) (sign | 0x7c00);
        }
        if (magnitude < 0x38800000) {
            // Subnormal: a multiple of 2^-24. The product is exact, and rint rounds ties to even.
            return (short) (sign | (int) Math.rint(Float.intBitsToFloat(magnitude) * 0x1p24));
        }
        int rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
        return (short) (sign | ((rounded >>> 13) - (112 << 10)));
    }

    /** The upper half of a float, rounded to nearest, ties to even. */
    public static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** Whether {@link #decode} reads the type. */
    public static boolean canDecode(GgufTensorType type) {
        return switch (type) {
            case F32, F16, BF16, Q8_0 -> true;
            default -> false;
        };
    }

    /**
     * Decodes whole blocks from the position of a little-endian buffer.
     *
     * @param target receives the elements
     * @param offset of the first element in the target
     * @param count elements, a multiple of the block size of the type
     */
    public static void decode(GgufTensorType type, ByteBuffer in, float[] target, int offset, int count) {
        int elements = type.blockElements();
        if (count % elements != 0) {
            throw new IllegalArgumentException("%d values are no whole number of %s blocks".formatted(count, type));
        }
        for (int start = offset; start < offset + count; start += elements) {
            switch (type) {
                case F32 -> target[start] = in.getFloat();
                case F16 -> target[start] = fromFloat16(in.getShort());
                case BF16 -> target[start] = Float.intBitsToFloat(in.getShort() << 16);
                case Q8_0 -> {
                    float scale = fromFloat16(in.getShort());
                    for (int index = 0; index < elements; index++) {
                        target[start + index] = scale * in.get();
                    }
                }
                default -> throw new IllegalArgumentException("Cannot decode " + type);
            }
        }
    }

    /** IEEE 754 half precision: 1 bit sign, 5 bits exponent, 10 bits fraction. Exact. */
    public static float fromFloat16(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = (bits >>> 10) & 0x1f;
        int fraction = bits & 0x3ff;
        if (exponent == 0) {
            // Zero and subnormals are multiples of 2^-24, which a float holds exactly.
            return Float.intBitsToFloat(sign | Float.floatToRawIntBits(fraction * 0x1p-24f));
        }
        int widened = exponent == 0x1f ? 0xff : exponent - 15 + 127;
        return Float.intBitsToFloat(sign | (widened << 23) | (fraction << 13));
    }
}
