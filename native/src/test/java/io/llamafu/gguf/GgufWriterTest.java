package io.llamafu.gguf;

import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class GgufWriterTest {
    @TempDir
    Path folder;

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Path path = folder.resolve("written.gguf");
        new GgufWriter()
                .string("text", "Grüße")
                .uint32("uint32", 0xffffffffL)
                .uint64("uint64", 1L << 40)
                .float32("float32", 0.5f)
                .bool("bool", true)
                .strings("strings", List.of("a", "", "ccc"))
                .int32s("int32s", new int[] {-1, 2})
                .float32s("float32s", new float[] {1, 2, 3})
                .tensor("one", GgufTensorType.F32, List.of(3L), GgufTensorData.floats(GgufTensorType.F32, new float[] {
                    1, 2, 3
                }))
                .tensor(
                        "two",
                        GgufTensorType.Q8_0,
                        List.of(64L, 2L),
                        GgufTensorData.random(GgufTensorType.Q8_0, 128, 7, 0.02))
                .write(path);

        GgufFile gguf = GgufReader.read(path, GgufKind.MODEL);

        assertThat(gguf.metadata().keySet())
                .containsExactly("text", "uint32", "uint64", "float32", "bool", "strings", "int32s", "float32s");
        assertThat(gguf.string("text")).isEqualTo("Grüße");
        assertThat(gguf.integer("uint32")).isEqualTo(0xffffffffL);
        assertThat(gguf.integer("uint64")).isEqualTo(1L << 40);
        assertThat(gguf.findFloat("float32")).contains(0.5);
        assertThat(gguf.findFlag("bool")).contains(true);
        assertThat(gguf.array("float32s").count()).isEqualTo(3);
        List<Long> integers = new ArrayList<>();
        GgufArrays.forEachInteger(gguf, "int32s", (index, value) -> integers.add(value));
        assertThat(integers).containsExactly(-1L, 2L);
        assertThat(read(gguf, "one")).isEqualTo(GgufBlocks.encode(GgufTensorType.F32, new float[] {1, 2, 3}));
        assertThat(gguf.findTensor("two").orElseThrow().byteSize()).isEqualTo(4 * 34);
        assertThat(gguf.dataOffset() % 32).isZero();
    }

    @Test
    void aCopyOfAnAdapterIsTheSameBytes() throws IOException {
        Path original = TinyModel.adapters().resolve("medical.gguf");
        GgufFile gguf = GgufReader.read(original, GgufKind.ADAPTER);
        GgufWriter writer = new GgufWriter();
        for (String key : List.of("general.architecture", "general.type", "general.name", "adapter.type")) {
            writer.string(key, gguf.string(key));
        }
        writer.float32("adapter.lora.alpha", 16);
        for (GgufTensor tensor : gguf.tensors().values()) {
            byte[] data = read(gguf, tensor.name());
            writer.tensor(tensor.name(), tensor.type(), tensor.dimensions(), out -> out.write(data));
        }

        Path copy = folder.resolve("copy.gguf");
        writer.write(copy);

        assertThat(Files.mismatch(original, copy)).isEqualTo(-1);
    }

    @Test
    void aFailureLeavesNothingBehind() throws IOException {
        GgufWriter writer =
                new GgufWriter().tensor("short", GgufTensorType.F32, List.of(4L), out -> out.write(new byte[15]));

        assertThatThrownBy(() -> writer.write(folder.resolve("failed.gguf")))
                .hasMessageContaining("15 bytes instead of 16");
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left).isEmpty();
        }
    }

    @Test
    void blocksHoldTheValuesTheyEncode() {
        float[] values = new float[64];
        for (int index = 0; index < values.length; index++) {
            values[index] = (float) Math.sin(index) / 10;
        }
        float[] q8 = decode(GgufTensorType.Q8_0, GgufBlocks.encode(GgufTensorType.Q8_0, values));
        float[] q4 = decode(GgufTensorType.Q4_0, GgufBlocks.encode(GgufTensorType.Q4_0, values));
        for (int index = 0; index < values.length; index++) {
            assertThat(q8[index]).isCloseTo(values[index], within(0.0005f));
            assertThat(q4[index]).isCloseTo(values[index], within(0.0135f));
        }
    }

    @Test
    void halfPrecisionIsThatOfTheStandard() {
        assertThat(GgufBlocks.toFloat16(1)).isEqualTo((short) 0x3c00);
        assertThat(GgufBlocks.toFloat16(-2)).isEqualTo((short) 0xc000);
        assertThat(GgufBlocks.toFloat16(65504)).isEqualTo((short) 0x7bff);
        assertThat(GgufBlocks.toFloat16(65520)).isEqualTo((short) 0x7c00);
        assertThat(GgufBlocks.toFloat16(0x1p-24f)).isEqualTo((short) 1);
        assertThat(GgufBlocks.toFloat16(0x1p-25f)).isEqualTo((short) 0);
        assertThat(GgufBlocks.toFloat16(0x1p-14f)).isEqualTo((short) 0x0400);
        assertThat(GgufBlocks.toFloat16(1 + 0x1p-11f)).isEqualTo((short) 0x3c00);
        assertThat(GgufBlocks.toFloat16(1 + 0x3p-11f)).isEqualTo((short) 0x3c02);
        assertThat(GgufBlocks.toFloat16(Float.NaN)).isEqualTo((short) 0x7e00);
        assertThat(GgufBlocks.toBfloat16(1)).isEqualTo((short) 0x3f80);
        for (int bits = 0; bits < 0x7c00; bits++) {
            assertThat(GgufBlocks.toFloat16(fromFloat16((short) bits))).isEqualTo((short) bits);
        }
    }

    @Test
    void randomWeightsHaveTheirDeviationAndNoMean() throws IOException {
        for (GgufTensorType type : List.of(GgufTensorType.Q8_0, GgufTensorType.Q4_0)) {
            Path path = folder.resolve(type + ".gguf");
            new GgufWriter()
                    .tensor("t", type, List.of(1024L, 64L), GgufTensorData.random(type, 65_536, 1, 0.02))
                    .write(path);
            float[] values = decode(type, read(GgufReader.read(path, GgufKind.MODEL), "t"));
            double sum = 0;
            double squares = 0;
            for (float value : values) {
                sum += value;
                squares += value * value;
            }
            assertThat(sum / values.length).isCloseTo(0, within(0.0005));
            assertThat(Math.sqrt(squares / values.length)).isCloseTo(0.02, within(0.0005));
        }
    }

    private static byte[] read(GgufFile gguf, String name) throws IOException {
        GgufTensor tensor = gguf.findTensor(name).orElseThrow();
        byte[] bytes = new byte[Math.toIntExact(tensor.byteSize())];
        try (RandomAccessFile file = new RandomAccessFile(gguf.path().toFile(), "r")) {
            file.seek(tensor.fileOffset());
            file.readFully(bytes);
        }
        return bytes;
    }

    private static float[] decode(GgufTensorType type, byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        float[] values = new float[bytes.length / type.blockBytes() * 32];
        for (int start = 0; start < values.length; start += 32) {
            float scale = fromFloat16(in.getShort());
            for (int index = 0; index < (type == GgufTensorType.Q8_0 ? 32 : 16); index++) {
                int level = in.get();
                if (type == GgufTensorType.Q8_0) {
                    values[start + index] = level * scale;
                } else {
                    values[start + index] = ((level & 15) - 8) * scale;
                    values[start + index + 16] = ((level >> 4 & 15) - 8) * scale;
                }
            }
        }
        return values;
    }

    private static float fromFloat16(short bits) {
        int exponent = bits >> 10 & 31;
        int fraction = bits & 0x3ff;
        double magnitude = exponent == 0 ? fraction * 0x1p-24 : Math.scalb(1 + fraction / 1024.0, exponent - 15);
        return (float) (bits < 0 ? -magnitude : magnitude);
    }
}
