package io.llamafu.peft;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.testing.Frugal;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Whatever a PEFT folder contains, converting it takes less than a minute and 64 MB and ends with a coded error and
 * no file, or with the file that a simple reading of the folder gives. {@code -Dmutations=20000} draws more folders.
 */
class MutatedPeftTest {
    private static final int MUTATIONS = Integer.getInteger("mutations", 2_000);
    private static final long SEED = 20_260_102;
    private static final Set<ErrorCode> ALLOWED =
            EnumSet.of(ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE, ErrorCode.INVALID_OPTION);
    private static final Path MEDICAL = TinyModel.folder().resolve("medical-peft");
    private static final PeftBase TINY = PeftBase.read(TinyModel.model());

    @TempDir
    Path folder;

    private Path peft;
    private Path out;
    private PeftMutations mutations;

    @BeforeEach
    void copyFolder() throws IOException {
        peft = Files.createDirectory(folder.resolve("peft"));
        out = Files.createDirectory(folder.resolve("out")).resolve("adapter.gguf");
        for (String name : new String[] {"adapter_config.json", "adapter_model.safetensors"}) {
            Files.copy(MEDICAL.resolve(name), peft.resolve(name));
        }
        mutations = new PeftMutations(MEDICAL, SEED);
    }

    @Test
    void everyMutatedSafetensorsFileIsRefusedOrConverted() throws IOException {
        Map<ErrorCode, Integer> outcomes = run("adapter_model.safetensors", mutations::nextWeights);

        assertThat(outcomes.get(ErrorCode.ADAPTER_INVALID)).isBetween(MUTATIONS / 2, MUTATIONS - 1);
        assertThat(outcomes.get(ErrorCode.ADAPTER_INCOMPATIBLE)).isPositive();
        assertThat(outcomes.values().stream().mapToInt(Integer::intValue).sum()).isLessThan(MUTATIONS);
    }

    @Test
    void everyMutatedConfigurationIsRefusedOrConverted() throws IOException {
        Map<ErrorCode, Integer> outcomes = run("adapter_config.json", mutations::nextConfig);

        assertThat(outcomes.get(ErrorCode.ADAPTER_INVALID)).isBetween(MUTATIONS / 4, MUTATIONS - 1);
        assertThat(outcomes.values().stream().mapToInt(Integer::intValue).sum()).isLessThan(MUTATIONS);
    }

    private Map<ErrorCode, Integer> run(String file, Supplier<byte[]> next) throws IOException {
        Map<ErrorCode, Integer> outcomes = new EnumMap<>(ErrorCode.class);
        for (int index = 0; index < MUTATIONS; index++) {
            Files.write(peft.resolve(file), next.get());
            String what = "mutation " + index;
            Optional<LlamafuException> refused =
                    Frugal.run(what, () -> PeftConverter.convert(peft, out, TINY, WeightType.F16));
            if (refused.isPresent()) {
                assertThat(refused.get().code()).as("%s: %s", what, refused).isIn(ALLOWED);
                outcomes.merge(refused.get().code(), 1, Integer::sum);
            } else {
                assertConverted(index);
                Files.delete(out);
            }
            assertThat(out.getParent()).as("mutation %d", index).isEmptyDirectory();
        }
        System.out.printf("%d mutations of %s: %s%n", MUTATIONS, file, outcomes);
        return outcomes;
    }

    /** Every tensor of the folder, read in the simplest way, is in the file. */
    private void assertConverted(int index) throws IOException {
        byte[] weights = Files.readAllBytes(peft.resolve("adapter_model.safetensors"));
        int headerBytes =
                (int) ByteBuffer.wrap(weights).order(ByteOrder.LITTLE_ENDIAN).getLong();
        JsonNode header = new ObjectMapper().readTree(weights, Long.BYTES, headerBytes);
        JsonNode config =
                new ObjectMapper().readTree(peft.resolve("adapter_config.json").toFile());
        GgufFile written = GgufReader.read(out, GgufKind.ADAPTER);

        int tensors = 0;
        for (Map.Entry<String, JsonNode> entry : header.properties()) {
            if (!entry.getKey().equals("__metadata__")) {
                float[] values = values(weights, Long.BYTES + headerBytes, entry.getValue());
                String name = ggufName(entry.getKey());
                assertThat(WrittenTensor.values(written, name))
                        .as("mutation %d, %s", index, name)
                        .isEqualTo(expected(name, values, config));
                tensors++;
            }
        }
        assertThat(written.tensors()).as("mutation %d", index).hasSize(tensors);
        assertThat(written.findFloat("adapter.lora.alpha").orElseThrow())
                .as("mutation %d", index)
                .isEqualTo((float) commonAlpha(config));
    }

    private static float[] values(byte[] weights, int dataOffset, JsonNode tensor) {
        int begin = tensor.get("data_offsets").get(0).intValue();
        int end = tensor.get("data_offsets").get(1).intValue();
        ByteBuffer in =
                ByteBuffer.wrap(weights, dataOffset + begin, end - begin).order(ByteOrder.LITTLE_ENDIAN);
        String type = tensor.get("dtype").textValue();
        float[] values = new float[(end - begin) / (type.equals("F32") ? 4 : 2)];
        for (int index = 0; index < values.length; index++) {
            values[index] = switch (type) {
                case "F32" -> in.getFloat();
                case "F16" -> WrittenTensor.half(in.getShort());
                default -> Float.intBitsToFloat(in.getShort() << 16);
            };
        }
        return values;
    }

    private static String ggufName(String name) {
        return name.replace(".default", "")
                .replace("base_model.model.model.layers", "blk")
                .replace("self_attn.o_proj", "attn_output")
                .replaceAll("self_attn\\.(.)_proj", "attn_$1")
                .replaceAll("mlp\\.(\\w+)_proj", "ffn_$1")
                .replaceAll("lora_([AB])\\.weight", "weight.lora_$1")
                .replace("lora_A", "lora_a")
                .replace("lora_B", "lora_b");
    }

    /** For rank 4 and heads of 32 rows; in half precision. */
    private static float[] expected(String name, float[] values, JsonNode config) {
        boolean rotary = name.matches(".*attn_[qk]\\.weight\\.lora_b");
        boolean isB = name.endsWith("lora_b");
        float[] expected = new float[values.length];
        for (int index = 0; index < values.length; index++) {
            int row = index / 4;
            int source = row / 32 * 32 + row % 2 * 16 + row % 32 / 2;
            float value = rotary ? values[source * 4 + index % 4] : values[index];
            double factor = isB ? factor(name, config) : 1;
            expected[index] = nearestHalf(factor == 1 ? value : (float) (value * factor));
        }
        return expected;
    }

    /** The mutations add patterns only for q_proj. */
    private static double factor(String name, JsonNode config) {
        JsonNode own = config.path("alpha_pattern").path("q_proj");
        return own.isMissingNode() || !name.contains("attn_q")
                ? 1
                : own.doubleValue() / config.get("lora_alpha").doubleValue();
    }

    private static double commonAlpha(JsonNode config) {
        double alpha = config.get("lora_alpha").doubleValue();
        return config.path("use_rslora").asBoolean()
                ? alpha * Math.sqrt(config.get("r").doubleValue())
                : alpha;
    }

    /** Rounded to 11 bits, or to a multiple of 2^-24; ties to even. */
    private static float nearestHalf(float value) {
        double step = Math.max(Math.scalb(1.0, Math.getExponent(value) - 10), 0x1p-24);
        return (float) (Math.rint(value / step) * step);
    }
}
