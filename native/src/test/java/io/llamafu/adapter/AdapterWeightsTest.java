package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.Catalogs;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The weights of an adapter are checked when its file is read for the digest. */
class AdapterWeightsTest {
    /** A tensor that is read in several parts, and a small one before it. */
    private static final int LARGE = 300_032;

    private static final int SMALL = 32;

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource(
            value = GgufTensorType.class,
            names = {"F32", "F16", "BF16", "Q8_0"})
    void everyWeightMustBeANumberThatTrainingCanGive(GgufTensorType type) throws IOException {
        byte[] sound = sound(type);
        resolve(type, sound).requireSound();

        int unit = type.blockBytes();
        int units = sound.length / unit;
        int acrossTheFirstPart = (256 << 10) / unit;
        Random random = new Random(7);
        for (int i : new int[] {
            0,
            1,
            2,
            3,
            units - 1,
            units - 2,
            units / 2,
            acrossTheFirstPart - 8,
            acrossTheFirstPart,
            random.nextInt(units)
        }) {
            for (int bits : bad(type)) {
                byte[] content = sound.clone();
                put(type, content, i * unit, bits);

                assertThatThrownBy(() -> resolve(type, content).requireSound())
                        .as("%s: %x at %d", type, bits, i)
                        .isInstanceOfSatisfying(LlamafuException.class, failure -> assertThat(failure.code())
                                .isEqualTo(ErrorCode.ADAPTER_INVALID))
                        .hasMessageContaining("blk.0.attn_q.weight.lora_b has a weight");
            }
        }
    }

    /** The greatest allowed magnitudes, of both signs. */
    private static byte[] sound(GgufTensorType type) {
        byte[] content = new byte[LARGE / type.blockElements() * type.blockBytes()];
        Random random = new Random(5);
        for (int at = 0; at < content.length; at += type.blockBytes()) {
            boolean negative = random.nextBoolean();
            switch (type) {
                case F32 -> put(type, content, at, Float.floatToRawIntBits(negative ? -65504f : 65504f));
                case F16 -> put(type, content, at, negative ? 0xfbff : 0x7bff);
                case BF16 -> put(type, content, at, negative ? 0xc77f : 0x477f);
                default -> {
                    random.nextBytes(content);
                    for (int block = 0; block < content.length; block += type.blockBytes()) {
                        put(type, content, block, random.nextBoolean() ? 0xdfff : 0x5fff);
                    }
                    return content;
                }
            }
        }
        return content;
    }

    private static int[] bad(GgufTensorType type) {
        return switch (type) {
            case F32 ->
                new int[] {
                    Float.floatToRawIntBits(Float.NaN),
                    0xff800000,
                    0x7f800000,
                    0xffc00001,
                    Float.floatToRawIntBits(Math.nextUp(65504f)),
                    Float.floatToRawIntBits(-1e30f)
                };
            case F16 -> new int[] {0x7c00, 0xfc00, 0x7e00, 0xffff};
            case BF16 -> new int[] {0x7f80, 0xff80, 0x7fc0, 0xffff, 0x4780, 0xc780};
            default -> new int[] {0x7c00, 0xfc00, 0x7e00, 0x6000, 0xe000};
        };
    }

    private static void put(GgufTensorType type, byte[] content, int at, int bits) {
        ByteBuffer buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        if (type == GgufTensorType.F32) {
            buffer.putInt(at, bits);
        } else {
            buffer.putShort(at, (short) bits);
        }
    }

    private AdapterFile resolve(GgufTensorType type, byte[] content) throws IOException {
        int small = SMALL / type.blockElements() * type.blockBytes();
        new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "llama")
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", 16)
                .tensor("blk.0.attn_q.weight.lora_a", type, List.of((long) SMALL), out -> out.write(new byte[small]))
                .tensor("blk.0.attn_q.weight.lora_b", type, List.of((long) LARGE), out -> out.write(content))
                .write(folder.resolve("adapter.gguf"));
        return Catalogs.resolve(folder, "adapter");
    }
}
