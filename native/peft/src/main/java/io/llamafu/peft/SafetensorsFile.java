package io.llamafu.peft;

import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.LittleEndianInput;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Map;

/**
 * An open safetensors file. The header is read and checked at once, the weights in parts on request. Owned by one
 * thread.
 */
final class SafetensorsFile implements AutoCloseable {
    /** An adapter with 16,384 tensors has about 2.5 MB. */
    private static final int MAX_HEADER_BYTES = 4 << 20;

    private static final int PART_BYTES = 64 * 1024;

    private final LittleEndianInput input;
    private final Map<String, SafetensorsTensor> tensors;
    private final ByteBuffer part = ByteBuffer.allocate(PART_BYTES).order(ByteOrder.LITTLE_ENDIAN);

    private SafetensorsFile(LittleEndianInput input, Map<String, SafetensorsTensor> tensors) {
        this.input = input;
        this.tensors = tensors;
    }

    /**
     * Opens a file and reads its header.
     *
     * @throws LlamafuException with {@code ADAPTER_NOT_FOUND} if the path is not a regular file that can be opened, and
     *     with {@code ADAPTER_INVALID} if it is malformed
     */
    static SafetensorsFile open(Path path) {
        LittleEndianInput input = LittleEndianInput.open(GgufKind.ADAPTER, path);
        try {
            return new SafetensorsFile(input, readHeader(input));
        } catch (RuntimeException e) {
            input.close();
            throw e;
        }
    }

    private static Map<String, SafetensorsTensor> readHeader(LittleEndianInput input) {
        long length = input.int64("the length of the header");
        if (length < 0 || length > MAX_HEADER_BYTES || length > input.remaining()) {
            throw input.invalid(
                    "says that its header has %s bytes, but at most %d are read and %d are left; it is damaged."
                            .formatted(Long.toUnsignedString(length), MAX_HEADER_BYTES, input.remaining()));
        }
        byte[] json = new byte[(int) length];
        input.bytes(json, json.length, "the header");
        return new SafetensorsHeader(input.position(), input.remaining(), input::invalid).parse(json);
    }

    /** By name, in the order of their data. */
    Map<String, SafetensorsTensor> tensors() {
        return tensors;
    }

    /** Reads consecutive elements. */
    void read(SafetensorsTensor tensor, long first, float[] target, int count) {
        int bytes = tensor.type().bytes();
        long position = tensor.fileOffset() + first * bytes;
        if (input.position() != position) {
            input.seek(position);
        }
        int done = 0;
        while (done < count) {
            int elements = Math.min(count - done, PART_BYTES / bytes);
            input.bytes(part.array(), elements * bytes, tensor.name());
            part.clear();
            for (int index = 0; index < elements; index++) {
                target[done + index] = tensor.type().next(part);
            }
            done += elements;
        }
    }

    /** An error; the problem completes the sentence "The adapter 'x' ...". */
    LlamafuException invalid(String problem) {
        return input.invalid(problem);
    }

    @Override
    public void close() {
        input.close();
    }
}
