package io.llamafu.adapter;

import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorType;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Finds invalid weights while a file is read for its digest. Invalid is what an F16 cannot hold: infinities, NaN, and
 * magnitudes above {@link #MOST}, which training does not produce.
 */
final class WeightScan {
    /** The greatest F16. */
    static final int MOST = 65504;

    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    /** The scale of a Q8_0 block whose largest weight, 128 times as much, exceeds {@link #MOST}: the F16 512. */
    private static final int LEAST_BAD_BLOCK_SCALE = 0x6000;

    private final List<GgufTensor> tensors;
    private int next;
    private Optional<String> found = Optional.empty();

    /**
     * Several floats in a long. Without their signs, floats are ordered like their bits, so adding the distance from
     * the first invalid value to the sign bit sets the sign bit of invalid ones.
     */
    private record Lanes(int bytes, long withoutSigns, long distance) {
        private static final Lanes F32 = new Lanes(4, 0x7fffffff_7fffffffL, 0x38801fff_38801fffL);
        private static final Lanes F16 = new Lanes(2, 0x7fff7fff_7fff7fffL, 0x04000400_04000400L);
        private static final Lanes BF16 = new Lanes(2, 0x7fff7fff_7fff7fffL, 0x38803880_38803880L);

        private boolean hasBad(byte[] buffer, int from, int to) {
            long signs = 0;
            int i = from;
            for (; i <= to - Long.BYTES; i += Long.BYTES) {
                signs |= ((long) LONG.get(buffer, i) & withoutSigns) + distance;
            }
            long rest = 0;
            for (int shift = 0; i < to; i++, shift += Byte.SIZE) {
                rest |= (buffer[i] & 0xffL) << shift;
            }
            signs |= (rest & withoutSigns) + distance;
            return (signs & ~withoutSigns) != 0;
        }
    }

    private WeightScan(List<GgufTensor> tensors) {
        this.tensors = tensors;
    }

    /** A scan of the tensors of an adapter; it finds nothing in other files, which loading rejects. */
    static WeightScan of(Path path) {
        try {
            GgufFile adapter = GgufReader.read(path, GgufKind.ADAPTER);
            return new WeightScan(List.copyOf(adapter.tensors().values()));
        } catch (LlamafuException e) {
            return new WeightScan(List.of());
        }
    }

    /**
     * Scans the next part of the file. Parts are multiples of 4 bytes, except the last.
     *
     * @param position of its first byte in the file
     */
    void take(byte[] part, int length, long position) {
        while (next < tensors.size() && found.isEmpty()) {
            GgufTensor tensor = tensors.get(next);
            long end = tensor.fileOffset() + tensor.byteSize();
            if (tensor.fileOffset() >= position + length) {
                return;
            }
            int from = (int) Math.max(0, tensor.fileOffset() - position);
            int to = (int) Math.min(length, end - position);
            if (hasBad(tensor, part, from, to, position)) {
                found = Optional.of(tensor.name());
            }
            if (end > position + length) {
                return;
            }
            next++;
        }
    }

    private static boolean hasBad(GgufTensor tensor, byte[] part, int from, int to, long position) {
        return switch (tensor.type()) {
            case F32 -> Lanes.F32.hasBad(part, from, to);
            case F16 -> Lanes.F16.hasBad(part, from, to);
            case BF16 -> Lanes.BF16.hasBad(part, from, to);
            case Q8_0 -> hasBadBlock(part, from, to, position + from - tensor.fileOffset());
            default -> false; // rejected for its type
        };
    }

    /** @param offset of {@code from} in the tensor */
    private static boolean hasBadBlock(byte[] part, int from, int to, long offset) {
        int block = GgufTensorType.Q8_0.blockBytes();
        boolean bad = false;
        for (int i = from + (int) ((block - offset % block) % block); i <= to - Short.BYTES; i += block) {
            bad |= ((short) SHORT.get(part, i) & 0x7fff) >= LEAST_BAD_BLOCK_SCALE;
        }
        return bad;
    }

    /** The first tensor with an invalid weight. */
    Optional<String> found() {
        return found;
    }
}
