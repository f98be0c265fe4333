package io.llamafu.gguf;

import io.llamafu.LlamafuException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads the weights of an open file as floats, in parts. Owned by one thread. */
public final class GgufWeights implements AutoCloseable {
    private static final int PART_BYTES = 16 * 1024;

    private final LittleEndianInput input;
    private final byte[] part = new byte[PART_BYTES];

    private GgufWeights(LittleEndianInput input) {
        this.input = input;
    }

    /**
     * Opens the file of a header.
     *
     * @throws LlamafuException with the codes of the file's kind if it cannot be opened
     */
    public static GgufWeights open(GgufFile file) {
        return new GgufWeights(LittleEndianInput.open(file.kind(), file.path()));
    }

    /**
     * Reads consecutive elements of a tensor that {@link GgufBlocks#canDecode can be decoded}.
     *
     * @param first index of the first element, a multiple of the type's block size
     * @param target receives the elements
     * @param offset of the first element in the target
     * @param count elements, a multiple of the type's block size
     * @throws LlamafuException with the invalid code of the file's kind if the file became shorter
     */
    public void read(GgufTensor tensor, long first, float[] target, int offset, int count) {
        GgufTensorType type = tensor.type();
        long position = tensor.fileOffset() + first / type.blockElements() * type.blockBytes();
        if (input.position() != position) {
            input.seek(position);
        }
        int mostElements = PART_BYTES / type.blockBytes() * type.blockElements();
        for (int done = 0; done < count; done += mostElements) {
            int elements = Math.min(mostElements, count - done);
            int bytes = elements / type.blockElements() * type.blockBytes();
            input.bytes(part, bytes, tensor.name());
            GgufBlocks.decode(
                    type,
                    ByteBuffer.wrap(part, 0, bytes).order(ByteOrder.LITTLE_ENDIAN),
                    target,
                    offset + done,
                    elements);
        }
    }

    @Override
    public void close() {
        input.close();
    }
}
