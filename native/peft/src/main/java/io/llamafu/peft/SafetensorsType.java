package io.llamafu.peft;

import io.llamafu.gguf.GgufBlocks;

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
            return GgufBlocks.fromFloat16(in.getShort());
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
}
