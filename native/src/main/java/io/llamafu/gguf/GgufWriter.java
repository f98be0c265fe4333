package io.llamafu.gguf;

import java.io.BufferedOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

import static java.util.Objects.requireNonNull;

/**
 * Writes a GGUF file, version 3, little-endian. Tensor data is streamed, so a large file needs no large heap; the file
 * appears under its name only when it is complete.
 *
 * <pre>{@code
 * new GgufWriter()
 *         .string("general.architecture", "llama")
 *         .float32("adapter.lora.alpha", 16)
 *         .tensor("blk.0.attn_q.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), GgufTensorData.floats(GgufTensorType.F16, values))
 *         .write(path);
 * }</pre>
 */
public final class GgufWriter {
    private static final int ALIGNMENT = 32;
    private static final int VERSION = 3;
    private static final byte[] MAGIC = {'G', 'G', 'U', 'F'};

    /** A metadata value that can write its type and itself. */
    @FunctionalInterface
    private interface Value {
        void writeTo(Output out) throws IOException;
    }

    private record Tensor(GgufTensorType type, List<Long> dimensions, long byteSize, GgufTensorData data) {}

    private final Map<String, Value> metadata = new LinkedHashMap<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    public GgufWriter string(String key, String value) {
        requireNonNull(value, "value is null");
        return put(key, out -> {
            out.type(GgufValueType.STRING);
            out.string(value);
        });
    }

    public GgufWriter uint32(String key, long value) {
        return put(key, out -> {
            out.type(GgufValueType.UINT32);
            out.int32((int) value);
        });
    }

    public GgufWriter uint64(String key, long value) {
        return put(key, out -> {
            out.type(GgufValueType.UINT64);
            out.int64(value);
        });
    }

    public GgufWriter float32(String key, float value) {
        return put(key, out -> {
            out.type(GgufValueType.FLOAT32);
            out.int32(Float.floatToRawIntBits(value));
        });
    }

    public GgufWriter bool(String key, boolean value) {
        return put(key, out -> {
            out.type(GgufValueType.BOOL);
            out.write(value ? 1 : 0);
        });
    }

    public GgufWriter strings(String key, List<String> values) {
        List<String> copy = List.copyOf(values);
        return put(key, out -> {
            out.array(GgufValueType.STRING, copy.size());
            for (String value : copy) {
                out.string(value);
            }
        });
    }

    public GgufWriter float32s(String key, float[] values) {
        float[] copy = values.clone();
        return put(key, out -> {
            out.array(GgufValueType.FLOAT32, copy.length);
            for (float value : copy) {
                out.int32(Float.floatToRawIntBits(value));
            }
        });
    }

    public GgufWriter int32s(String key, int[] values) {
        return integers(key, GgufValueType.INT32, values);
    }

    public GgufWriter uint32s(String key, int[] values) {
        return integers(key, GgufValueType.UINT32, values);
    }

    private GgufWriter integers(String key, GgufValueType type, int[] values) {
        int[] copy = values.clone();
        return put(key, out -> {
            out.array(type, copy.length);
            for (int value : copy) {
                out.int32(value);
            }
        });
    }

    private GgufWriter put(String key, Value value) {
        requireNonNull(key, "key is null");
        if (metadata.put(key, value) != null) {
            throw new IllegalArgumentException("The metadata key '%s' is set twice".formatted(key));
        }
        return this;
    }

    /**
     * Adds a tensor.
     *
     * @param dimensions 1 to 4 positive lengths, the row length first
     * @param data the bytes, requested when the file is written
     */
    public GgufWriter tensor(String name, GgufTensorType type, List<Long> dimensions, GgufTensorData data) {
        requireNonNull(name, "name is null");
        requireNonNull(data, "data is null");
        if (name.isEmpty() || name.length() >= GgufTensor.MAX_NAME) {
            throw new IllegalArgumentException("The tensor name '%s' has not 1 to 63 characters".formatted(name));
        }
        if (dimensions.isEmpty()
                || dimensions.size() > GgufTensor.MAX_DIMENSIONS
                || dimensions.stream().anyMatch(dimension -> dimension <= 0)
                || dimensions.get(0) % type.blockElements() != 0) {
            throw new IllegalArgumentException(
                    "Tensor '%s' in %s cannot have the dimensions %s".formatted(name, type, dimensions));
        }
        long bytes = dimensions.get(0) / type.blockElements() * type.blockBytes();
        for (long dimension : dimensions.subList(1, dimensions.size())) {
            bytes = Math.multiplyExact(bytes, dimension);
        }
        if (tensors.put(name, new Tensor(type, List.copyOf(dimensions), bytes, data)) != null) {
            throw new IllegalArgumentException("The tensor '%s' is added twice".formatted(name));
        }
        return this;
    }

    /** Writes a temporary file beside the target, then renames it, so readers never see a partial file. */
    public void write(Path path) throws IOException {
        Path target = path.toAbsolutePath();
        Path folder = requireNonNull(target.getParent(), "path has no folder");
        Path part = folder.resolve(".%s.%s.part".formatted(target.getFileName(), UUID.randomUUID()));
        try {
            try (Output out = new Output(Files.newOutputStream(part))) {
                writeHeader(out);
                writeTensors(out);
            }
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private void writeHeader(Output out) throws IOException {
        out.write(MAGIC);
        out.int32(VERSION);
        out.int64(tensors.size());
        out.int64(metadata.size());
        for (Map.Entry<String, Value> entry : metadata.entrySet()) {
            out.string(entry.getKey());
            entry.getValue().writeTo(out);
        }
        long offset = 0;
        for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
            Tensor tensor = entry.getValue();
            out.string(entry.getKey());
            out.int32(tensor.dimensions().size());
            for (long dimension : tensor.dimensions()) {
                out.int64(dimension);
            }
            out.int32(tensor.type().id());
            out.int64(offset);
            offset = GgufReader.padded(offset + tensor.byteSize(), ALIGNMENT);
        }
        out.pad();
    }

    private void writeTensors(Output out) throws IOException {
        for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
            long start = out.written;
            entry.getValue().data().writeTo(out);
            if (out.written - start != entry.getValue().byteSize()) {
                throw new IllegalArgumentException("The data of tensor '%s' has %d bytes instead of %d"
                        .formatted(
                                entry.getKey(),
                                out.written - start,
                                entry.getValue().byteSize()));
            }
            out.pad();
        }
    }

    /** Little-endian output that counts its bytes. */
    private static final class Output extends FilterOutputStream {
        private final ByteBuffer scratch = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        private long written;

        Output(OutputStream out) {
            super(new BufferedOutputStream(out, 256 * 1024));
        }

        @Override
        public void write(int value) throws IOException {
            out.write(value);
            written++;
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
            written += length;
        }

        void type(GgufValueType type) throws IOException {
            int32(type.id());
        }

        void array(GgufValueType elementType, int count) throws IOException {
            type(GgufValueType.ARRAY);
            type(elementType);
            int64(count);
        }

        void string(String value) throws IOException {
            byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
            int64(bytes.length);
            write(bytes);
        }

        void int32(int value) throws IOException {
            scratch.clear().putInt(value);
            write(scratch.array(), 0, Integer.BYTES);
        }

        void int64(long value) throws IOException {
            scratch.clear().putLong(value);
            write(scratch.array(), 0, Long.BYTES);
        }

        void pad() throws IOException {
            while (written % ALIGNMENT != 0) {
                write(0);
            }
        }
    }
}
