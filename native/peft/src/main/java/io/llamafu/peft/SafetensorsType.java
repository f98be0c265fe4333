package io.llamafu.peft;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;

/** How the elements of a safetensors tensor are stored. There are other types; PEFT saves LoRA weights in these. */
enum SafetensorsType {
    F32(4) {
        @Override
        float next(ByteBuffer in) {
            return in.getFloat();
        }
    },
    F16(2) {
        @Override
        float next(ByteBuffer in) {
            return fromFloat16(in.getShort());
        }
    },
    BF16(2) {
        @Override
        float next(ByteBuffer in) {
            return Float.intBitsToFloat(in.getShort() << 16);
        }
    };

    private final int bytes;

    SafetensorsType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one element. */
    int bytes() {
        return bytes;
    }

    /** Reads the next element of a little-endian buffer. The conversion is exact. */
    abstract float next(ByteBuffer in);

    static Optional<SafetensorsType> ofName(String name) {
        return Arrays.stream(values()).filter(type -> type.name().equals(name)).findFirst();
    }

    /** IEEE 754 half precision: 1 bit sign, 5 bits exponent, 10 bits fraction. */
    private static float fromFloat16(short bits) {
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
