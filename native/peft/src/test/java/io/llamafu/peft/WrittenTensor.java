package io.llamafu.peft;

import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;

/** Reads a written tensor. */
final class WrittenTensor {
    private WrittenTensor() {}

    static byte[] bytes(GgufFile gguf, String name) throws IOException {
        GgufTensor tensor = gguf.findTensor(name).orElseThrow();
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.byteSize());
        try (FileChannel channel = FileChannel.open(gguf.path())) {
            channel.read(bytes, tensor.fileOffset());
        }
        return bytes.array();
    }

    static float[] values(GgufFile gguf, String name) throws IOException {
        GgufTensor tensor = gguf.findTensor(name).orElseThrow();
        ByteBuffer in = ByteBuffer.wrap(bytes(gguf, name)).order(ByteOrder.LITTLE_ENDIAN);
        float[] values = new float[(int) tensor.elements()];
        for (int index = 0; index < values.length; index++) {
            values[index] = tensor.type() == GgufTensorType.F32 ? in.getFloat() : half(in.getShort());
        }
        return values;
    }

    /** IEEE 754: (-1)^s 2^(e-15) 1.f, subnormal (-1)^s 2^-14 0.f. */
    static float half(short bits) {
        int exponent = (bits >> 10) & 31;
        float fraction = (bits & 1023) / 1024f;
        float magnitude = exponent == 0 ? Math.scalb(fraction, -14) : Math.scalb(1 + fraction, exponent - 15);
        return bits < 0 ? -magnitude : magnitude;
    }
}
