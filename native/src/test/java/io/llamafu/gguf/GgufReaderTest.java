package io.llamafu.gguf;

import io.llamafu.ErrorCode;
import io.llamafu.testing.Frugal;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

class GgufReaderTest {
    @TempDir
    Path folder;

    @Test
    void readsTheTinyModel() {
        GgufFile gguf = GgufReader.read(TinyModel.model(), GgufKind.MODEL);

        assertThat(gguf.version()).isEqualTo(3);
        assertThat(gguf.alignment()).isEqualTo(32);
        assertThat(gguf.fileSize()).isEqualTo(900_032);
        assertThat(gguf.dataOffset()).isEqualTo(25_024);
        assertThat(gguf.string("general.architecture")).isEqualTo("llama");
        assertThat(gguf.integer("llama.block_count")).isEqualTo(4);
        assertThat(gguf.findFloat("llama.rope.freq_base")).contains(10_000.0);
        assertThat(gguf.findFlag("tokenizer.ggml.add_bos_token")).contains(true);
        assertThat(gguf.array("tokenizer.ggml.tokens").count()).isEqualTo(1024);
        assertThat(gguf.tensors()).hasSize(38);
        assertThat(gguf.findTensor("blk.0.ffn_down.weight"))
                .hasValue(new GgufTensor(
                        "blk.0.ffn_down.weight",
                        GgufTensorType.Q8_0,
                        List.of(320L, 128L),
                        25_024 + 280_064,
                        320 / 32 * 34 * 128));
    }

    @Test
    void readsTheTinyAdapters() {
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            GgufFile gguf = GgufReader.read(TinyModel.adapters().resolve(name + ".gguf"), GgufKind.ADAPTER);

            assertThat(gguf.tensors()).hasSize(56);
            assertThat(gguf.tensorBytes()).isEqualTo(gguf.fileSize() - gguf.dataOffset());
        }
    }

    @Test
    void readsLongArraysAnElementAtATime() {
        GgufFile gguf = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        List<Integer> lengths = new ArrayList<>();
        List<Long> types = new ArrayList<>();

        GgufArrays.forEachString(gguf, "tokenizer.ggml.tokens", 256, (index, bytes, length) -> lengths.add(length));
        GgufArrays.forEachInteger(gguf, "tokenizer.ggml.token_type", (index, value) -> types.add(value));

        assertThat(lengths).hasSize(1024).startsWith("<unk>".length(), "<s>".length());
        assertThat(types).hasSize(1024).startsWith(2L, 3L, 3L, 6L);
    }

    @Test
    void aTypedValueOfAnotherTypeIsACodedError() {
        GgufFile gguf = GgufReader.read(TinyModel.model(), GgufKind.MODEL);

        assertFails(
                () -> gguf.string("llama.block_count"), ErrorCode.MODEL_INVALID, "has 'llama.block_count' as UINT32");
        assertFails(() -> gguf.string("absent"), ErrorCode.MODEL_INVALID, "has no 'absent'");
    }

    @Test
    void aMissingFileIsNotFound() {
        assertFails(
                () -> GgufReader.read(folder.resolve("absent.gguf"), GgufKind.MODEL),
                ErrorCode.MODEL_NOT_FOUND,
                "does not exist");
        assertFails(
                () -> GgufReader.read(folder.resolve("absent.gguf"), GgufKind.ADAPTER),
                ErrorCode.ADAPTER_NOT_FOUND,
                "does not exist");
    }

    @Test
    void aFolderIsNotFound() {
        assertFails(() -> GgufReader.read(folder, GgufKind.MODEL), ErrorCode.MODEL_NOT_FOUND, "is no regular file");
    }

    @Test
    @Timeout(60)
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void aFifoDoesNotHang() throws Exception {
        Path fifo = folder.resolve("fifo.gguf");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();

        assertFails(() -> GgufReader.read(fifo, GgufKind.MODEL), ErrorCode.MODEL_NOT_FOUND, "is no regular file");
        assertFails(
                () -> GgufReader.read(Path.of("/dev/zero"), GgufKind.MODEL),
                ErrorCode.MODEL_NOT_FOUND,
                "is no regular file");
    }

    @Test
    void anEmptyFileIsInvalid() throws Exception {
        Path file = Files.write(folder.resolve("empty.gguf"), new byte[0]);

        assertFails(() -> GgufReader.read(file, GgufKind.ADAPTER), ErrorCode.ADAPTER_INVALID, "cut off");
    }

    @Test
    void everyTruncationIsInvalid() throws Exception {
        byte[] whole = Files.readAllBytes(TinyModel.adapters().resolve("medical.gguf"));
        Path file = folder.resolve("cut.gguf");
        for (int length = 0; length < whole.length; length += 997) {
            Files.write(file, Arrays.copyOf(whole, length));

            assertFails(() -> GgufReader.read(file, GgufKind.ADAPTER), ErrorCode.ADAPTER_INVALID);
        }
    }

    /** The largest possible header: everything at its limit. */
    @Test
    void theLargestHeaderTakesLessThan64Megabytes() throws Exception {
        Path path = folder.resolve("large.gguf");
        GgufWriter writer = new GgufWriter();
        for (int index = 0; index < GgufReader.MAX_METADATA - 1; index++) {
            writer.string("%04d".formatted(index).repeat(255), "x".repeat(1024));
        }
        writer.strings(
                "tokens", IntStream.range(0, 1 << 20).mapToObj(String::valueOf).toList());
        for (int index = 0; index < GgufReader.MAX_TENSORS; index++) {
            writer.tensor(
                    "%09d".formatted(index).repeat(7),
                    GgufTensorType.F32,
                    List.of(1L, 1L, 1L, 1L),
                    out -> out.write(new byte[4]));
        }
        writer.write(path);

        assertThat(Frugal.run("the largest header", () -> {
                    GgufFile gguf = GgufReader.read(path, GgufKind.MODEL);
                    assertThat(gguf.metadata()).hasSize(GgufReader.MAX_METADATA);
                    assertThat(gguf.tensors()).hasSize(GgufReader.MAX_TENSORS);
                }))
                .isEmpty();
    }

    @Test
    void longTextsStayInTheFile() throws Exception {
        Path path = folder.resolve("texts.gguf");
        GgufWriter writer = new GgufWriter().string("long", "x".repeat(GgufReader.MAX_TEXT_BYTES + 1));
        for (int index = 0; index < 5; index++) {
            writer.string("text-" + index, "x".repeat(GgufReader.MAX_TEXT_BYTES));
        }
        writer.write(path);

        GgufFile gguf = GgufReader.read(path, GgufKind.MODEL);

        assertThat(gguf.metadata().get("long")).isInstanceOf(GgufValue.LongText.class);
        assertThat(gguf.string("text-3")).hasSize(GgufReader.MAX_TEXT_BYTES);
        assertThat(gguf.metadata().get("text-4")).isInstanceOf(GgufValue.LongText.class);
    }
}
