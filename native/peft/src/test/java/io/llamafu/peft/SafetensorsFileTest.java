package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class SafetensorsFileTest {
    @TempDir
    Path folder;

    @Test
    void readsTheTinyAdapter() {
        Path path = TinyModel.folder().resolve("medical-peft/adapter_model.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertThat(file.tensors()).hasSize(56);
            SafetensorsTensor first =
                    file.tensors().values().stream().findFirst().orElseThrow();
            assertThat(first.name()).isEqualTo("base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
            assertThat(first.type()).isEqualTo(SafetensorsType.F32);
            assertThat(first.shape()).containsExactly(4L, 320L);
            assertThat(first.fileOffset()).isEqualTo(8 + 7024);
        }
    }

    @ParameterizedTest
    @EnumSource
    void readsPartsOfATensor(SafetensorsType type) throws IOException {
        float[] numbers = PeftFolder.numbers(50_000, 3);
        try (SafetensorsFile file = open(new SafetensorsBytes()
                .tensor("first", SafetensorsType.F16, PeftFolder.numbers(7, 1), 7)
                .tensor("second", type, numbers, 500, 100)
                .bytes())) {
            SafetensorsTensor tensor = file.tensors().get("second");
            float[] read = new float[40_000];

            file.read(tensor, 10_000, read, 40_000);
            assertThat(read).isEqualTo(Arrays.copyOfRange(numbers, 10_000, 50_000));
            file.read(tensor, 0, read, 3);
            assertThat(read).startsWith(numbers[0], numbers[1], numbers[2]);
        }
    }

    @Test
    void halfPrecisionIsExact() throws IOException {
        byte[] data = new byte[2 * 65_536];
        for (int bits = 0; bits < 65_536; bits++) {
            data[2 * bits] = (byte) bits;
            data[2 * bits + 1] = (byte) (bits >> 8);
        }
        try (SafetensorsFile file = open(SafetensorsBytes.of(
                "{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}", data))) {
            float[] values = new float[65_536];
            file.read(file.tensors().get("x"), 0, values, 65_536);

            for (int bits = 0; bits < 65_536; bits++) {
                if ((bits & 0x7c00) == 0x7c00) {
                    assertThat(values[bits]).isNotFinite();
                } else {
                    assertThat(values[bits]).isEqualTo(WrittenTensor.half((short) bits));
                }
            }
        }
    }

    /** Spaces after the header align the data. */
    @Test
    void theHeaderMayBePadded() throws IOException {
        try (SafetensorsFile file = open(SafetensorsBytes.of(
                "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}     ", new byte[4]))) {
            assertThat(file.tensors()).containsOnlyKeys("x");
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("attacks")
    void isRefused(String attack, byte[] bytes, String message) {
        assertThatThrownBy(() -> open(bytes).close())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_INVALID))
                .hasMessageContaining(message);
    }

    static Stream<Arguments> attacks() {
        byte[] object = "{}".getBytes(StandardCharsets.UTF_8);
        byte[] none = new byte[0];
        return Stream.of(
                arguments("empty file", none, "takes 8 bytes, but 0 are left"),
                arguments("no header", SafetensorsBytes.of(0, none, none), "does not begin with '{'"),
                arguments("header length", SafetensorsBytes.of(1L << 40, object, none), "1099511627776 bytes"),
                arguments(
                        "negative header length", SafetensorsBytes.of(-1, object, none), "18446744073709551615 bytes"),
                arguments("header beyond the file", SafetensorsBytes.of(3, object, none), "3 bytes, but at most"),
                arguments("short header length", SafetensorsBytes.of(1, object, none), "malformed JSON"),
                arguments("array", header("[]"), "does not begin with '{'"),
                arguments("UTF-16", SafetensorsBytes.of(4, new byte[] {'{', 0, '}', 0}, none), "malformed JSON"),
                arguments("cut off", header("{\"x\":{"), "malformed JSON"),
                arguments("two objects", header("{}{}"), "more than one JSON object"),
                arguments(
                        "two names",
                        tensors(tensor("F32", "[1]", "0,4"), tensor("F32", "[1]", "4,8")),
                        "Duplicate field"),
                arguments(
                        "deep",
                        header("{\"__metadata__\":{\"a\":" + "[".repeat(100_000)),
                        "no object of up to 4096 texts"),
                arguments("deep shape", header("{\"x\":{\"shape\":" + "[".repeat(100_000)), "up to 8 integers"),
                arguments("much metadata", manyTexts(), "no object of up to 4096 texts"),
                arguments("long name", header("{\"" + "x".repeat(5_000) + "\":{}}"), "Name length"),
                arguments("long number", header("{\"x\":{\"shape\":[" + "1".repeat(1_000)), "Number value length"),
                arguments("metadata", header("{\"__metadata__\":[]}"), "no object of up to 4096 texts"),
                arguments("no description", header("{\"x\":[]}"), "without a description"),
                arguments("unknown field", header("{\"x\":{\"type\":\"F32\"}}"), "unknown field 'type'"),
                arguments(
                        "missing field", header("{\"x\":{\"dtype\":\"F32\"}}"), "without dtype, shape or data_offsets"),
                arguments("dtype is no text", header("{\"x\":{\"dtype\":1}}"), "without dtype"),
                arguments("I64", tensors(tensor("I64", "[1]", "0,8")), "in I64, but only F32"),
                arguments("F8", tensors(tensor("F8_E4M3", "[8]", "0,8")), "in F8_E4M3"),
                arguments("scalar", tensors(tensor("F32", "[]", "0,8")), "each length must be 1 or more"),
                arguments("empty tensor", tensors(tensor("F32", "[0,4]", "0,0")), "each length must be 1 or more"),
                arguments("negative length", tensors(tensor("F32", "[-1,-2]", "0,8")), "each length must be 1 or more"),
                arguments("fraction", tensors(tensor("F32", "[1.5]", "0,8")), "are not up to 8 integers"),
                arguments("large length", tensors(tensor("F32", "[9223372036854775808]", "0,8")), "out of range"),
                arguments("product", tensors(tensor("F32", "[4294967296,4294967296]", "0,8")), "not the size of"),
                arguments(
                        "product of bytes", tensors(tensor("F32", "[4611686018427387906]", "0,8")), "not the size of"),
                arguments("many dimensions", tensors(tensor("F32", "[1,1,1,1,1,1,1,1,2]", "0,8")), "up to 8 integers"),
                arguments("other size", tensors(tensor("F32", "[3]", "0,8")), "not the size of"),
                arguments("odd size", tensors(tensor("F32", "[1]", "0,7")), "not the size of"),
                arguments("end before begin", tensors(tensor("F32", "[1]", "8,4")), "at bytes 8 to 4"),
                arguments("negative offset", tensors(tensor("F32", "[3]", "-4,8")), "at bytes -4 to 8"),
                arguments("end beyond the file", tensors(tensor("F32", "[3]", "0,12")), "of its data, which has 8"),
                arguments("one offset", tensors(tensor("F32", "[2]", "0")), "without dtype, shape or data_offsets"),
                arguments("gap before", tensors(tensor("F32", "[1]", "4,8")), "the tensor before it ends at 0"),
                arguments("gap after", tensors(tensor("F32", "[1]", "0,4")), "its tensors end at 4"),
                arguments(
                        "overlap",
                        header("{\"x\":%s,\"y\":%s}"
                                .formatted(tensor("F32", "[2]", "0,8"), tensor("F32", "[1]", "4,8"))),
                        "at byte 4 of its data, but the tensor before it ends at 8"),
                arguments("many tensors", manyTensors(), "more than 16384 tensors"));
    }

    private static String tensor(String type, String shape, String offsets) {
        return "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%s]}".formatted(type, shape, offsets);
    }

    /** All of the same name, in a file with 8 bytes of data. */
    private static byte[] tensors(String... tensors) {
        return header(Stream.of(tensors).map(tensor -> "\"x\":" + tensor).collect(Collectors.joining(",", "{", "}")));
    }

    private static byte[] manyTensors() {
        return SafetensorsBytes.of(
                IntStream.rangeClosed(0, 16_384)
                        .mapToObj(index ->
                                "\"%d\":%s".formatted(index, tensor("F16", "[1]", 2 * index + "," + 2 * (index + 1))))
                        .collect(Collectors.joining(",", "{", "}")),
                new byte[2 * 16_385]);
    }

    private static byte[] manyTexts() {
        return header(IntStream.range(0, 200_000)
                .mapToObj(index -> "\"%d\":\"\"".formatted(index))
                .collect(Collectors.joining(",", "{\"__metadata__\":{", "}}")));
    }

    private static byte[] header(String json) {
        return SafetensorsBytes.of(json, new byte[8]);
    }

    private SafetensorsFile open(byte[] bytes) throws IOException {
        return SafetensorsFile.open(Files.write(folder.resolve("x.safetensors"), bytes));
    }

    @Test
    void aFolderIsNoFile() {
        assertThatThrownBy(() -> SafetensorsFile.open(folder))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND))
                .hasMessageContaining("is no regular file");
        assertThat(List.of(folder.toFile().list())).isEmpty();
    }
}
