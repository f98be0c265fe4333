package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import static io.llamafu.peft.TestBase.HEAD_WIDTH;
import static io.llamafu.peft.TestBase.HIDDEN;
import static io.llamafu.peft.TestBase.KEYS;
import static io.llamafu.peft.TestBase.QUERIES;
import static io.llamafu.peft.TestBase.WIDTH;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Names, row orders and shapes of each architecture, on adapters of every module. */
class PeftArchitectureTest {
    @TempDir
    Path folder;

    private record Module(String path, String tensor, int inputs, int outputs) {}

    private static final List<Module> SEPARATE = List.of(
            new Module("self_attn.q_proj", "attn_q", WIDTH, QUERIES),
            new Module("self_attn.k_proj", "attn_k", WIDTH, KEYS),
            new Module("self_attn.v_proj", "attn_v", WIDTH, KEYS),
            new Module("self_attn.o_proj", "attn_output", QUERIES, WIDTH),
            new Module("mlp.gate_proj", "ffn_gate", WIDTH, HIDDEN),
            new Module("mlp.up_proj", "ffn_up", WIDTH, HIDDEN),
            new Module("mlp.down_proj", "ffn_down", HIDDEN, WIDTH));

    private static final List<Module> FUSED = List.of(
            new Module("self_attn.qkv_proj", "attn_qkv", WIDTH, QUERIES + 2 * KEYS),
            new Module("self_attn.o_proj", "attn_output", QUERIES, WIDTH),
            new Module("mlp.gate_up_proj", "ffn_up", WIDTH, 2 * HIDDEN),
            new Module("mlp.down_proj", "ffn_down", HIDDEN, WIDTH));

    @ParameterizedTest
    @ValueSource(strings = {"llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "granite", "smollm3"})
    void separateModules(String architecture) throws IOException {
        Path base = new TestBase(architecture, false).write(folder.resolve("base.gguf"));

        assertConverted(architecture, base, "model.layers.%d.%s", SEPARATE);
    }

    @Test
    void fusedModules() throws IOException {
        Path base = new TestBase("phi3", true).write(folder.resolve("base.gguf"));

        assertConverted("phi3", base, "model.layers.%d.%s", FUSED);
    }

    @ParameterizedTest
    @CsvSource({
        "llama, llama",
        "mistral, llama",
        "qwen2, qwen2",
        "qwen3, qwen3",
        "gemma, gemma",
        "gemma2, gemma2",
        "gemma3, gemma3",
        "gemma3_text, gemma3",
        "granite, granite",
        "smollm3, smollm3"
    })
    void theConfigurationOfHuggingFaceIsEnough(String modelType, String architecture) throws IOException {
        Path base = TestBase.writeConfig(folder.resolve("config.json"), modelType);

        assertConverted(architecture, base, "model.layers.%d.%s", SEPARATE);
    }

    @Test
    void theConfigurationOfAFusedModelIsEnough() throws IOException {
        Path base = TestBase.writeConfig(folder.resolve("config.json"), "phi3");

        assertConverted("phi3", base, "model.layers.%d.%s", FUSED);
    }

    /** Transformers writes both, depending on its version. */
    @ParameterizedTest
    @ValueSource(strings = {"model.language_model.layers.%d.%s", "language_model.model.layers.%d.%s"})
    void theTextModelOfAModelThatSees(String path) throws IOException {
        Path base = TestBase.writeConfig(
                folder.resolve("config.json"),
                Map.of(
                        "model_type",
                        "gemma3",
                        "text_config",
                        Map.of(
                                "model_type",
                                "gemma3_text",
                                "hidden_size",
                                WIDTH,
                                "intermediate_size",
                                HIDDEN,
                                "num_hidden_layers",
                                2,
                                "num_attention_heads",
                                4,
                                "num_key_value_heads",
                                2,
                                "head_dim",
                                HEAD_WIDTH)));

        assertConverted("gemma3", base, path, SEPARATE);
    }

    /**
     * Row 2 i + p of a head in llama.cpp is row p w / 2 + i in Transformers: the two rows of a rotated pair are
     * neighbors.
     */
    private void assertConverted(String architecture, Path base, String path, List<Module> modules) throws IOException {
        PeftFolder adapter = new PeftFolder();
        for (int layer = 0; layer < 2; layer++) {
            for (Module module : modules) {
                adapter.module(path.formatted(layer, module.path()), module.inputs(), module.outputs());
            }
        }
        Path out = folder.resolve("adapter.gguf");
        ConvertedAdapter converted =
                PeftConverter.convert(adapter.write(folder.resolve("peft")), out, PeftBase.read(base), WeightType.F16);

        assertThat(converted.info().architecture()).isEqualTo(architecture);
        assertThat(converted.tensors()).isEqualTo(4 * modules.size());
        GgufFile gguf = GgufReader.read(out, GgufKind.ADAPTER);
        int seed = 0;
        for (int layer = 0; layer < 2; layer++) {
            for (Module module : modules) {
                String tensor = "blk.%d.%s.weight".formatted(layer, module.tensor());
                boolean rotary = List.of("llama", "granite", "smollm3").contains(architecture)
                        && (module.tensor().equals("attn_q") || module.tensor().equals("attn_k"));
                float[] a = PeftFolder.numbers(2 * module.inputs(), seed++);
                float[] b = PeftFolder.numbers(2 * module.outputs(), seed++);

                assertThat(gguf.findTensor(tensor + ".lora_a").orElseThrow().dimensions())
                        .containsExactly((long) module.inputs(), 2L);
                assertThat(gguf.findTensor(tensor + ".lora_b").orElseThrow().dimensions())
                        .containsExactly(2L, (long) module.outputs());
                assertThat(WrittenTensor.values(gguf, tensor + ".lora_a")).isEqualTo(a);
                assertThat(WrittenTensor.values(gguf, tensor + ".lora_b")).isEqualTo(rotary ? neighbours(b) : b);
            }
        }
    }

    private static float[] neighbours(float[] b) {
        float[] expected = new float[b.length];
        for (int row = 0; row < b.length / 2; row++) {
            int head = row / HEAD_WIDTH;
            int pair = row % HEAD_WIDTH / 2;
            int source = head * HEAD_WIDTH + (row % 2) * HEAD_WIDTH / 2 + pair;
            expected[2 * row] = b[2 * source];
            expected[2 * row + 1] = b[2 * source + 1];
        }
        return expected;
    }

    @Test
    void gemma3LeavesOutItsDefaults() throws IOException {
        Path config = TestBase.writeConfig(
                folder.resolve("config.json"),
                Map.of(
                        "model_type",
                        "gemma3",
                        "text_config",
                        Map.of("hidden_size", 2560, "intermediate_size", 10_240, "num_hidden_layers", 34)));

        assertThat(HuggingFaceConfig.read(config))
                .isEqualTo(new HuggingFaceConfig(PeftArchitecture.GEMMA3, 34, 2560, 10_240, 8, 4, 256));
    }

    @Test
    void llamaDividesItsWidthByItsHeads() throws IOException {
        Path config = TestBase.writeConfig(
                folder.resolve("config.json"),
                Map.of(
                        "model_type", "llama",
                        "hidden_size", 4096,
                        "intermediate_size", 11_008,
                        "num_hidden_layers", 32,
                        "num_attention_heads", 32));

        assertThat(HuggingFaceConfig.read(config))
                .isEqualTo(new HuggingFaceConfig(PeftArchitecture.LLAMA, 32, 4096, 11_008, 32, 32, 128));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    {"model_type":"mamba"} | INVALID_OPTION | model_type 'mamba', but adapters are converted for llama, qwen2
                    {} | INVALID_OPTION | model_type ''
                    [] | MODEL_INVALID | is no JSON object
                    {"model_type":"llama"} | MODEL_INVALID | has no 'hidden_size'
                    {"model_type":"llama","hidden_size":0} | MODEL_INVALID | has 'hidden_size' as 0
                    {"model_type":"llama","hidden_size":1e9} | MODEL_INVALID | has 'hidden_size' as 1.0E9
                    {"model_type":"llama","hidden_size":4294967297} | MODEL_INVALID | has 'hidden_size' as 4294967297
                    {"model_type":"llama","model_type":"qwen2"} | MODEL_INVALID | Duplicate field
                    """)
    void badConfigurationsAreRefused(String json, ErrorCode code, String message) throws IOException {
        Path config = Files.writeString(folder.resolve("config.json"), json);

        assertThatThrownBy(() -> PeftBase.read(config))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(message);
    }

    @Test
    void otherArchitecturesAreRefused() throws IOException {
        Path base = new TestBase("olmo2", false).write(folder.resolve("base.gguf"));

        assertThatThrownBy(() -> PeftBase.read(base))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContaining("has the architecture 'olmo2', but adapters are converted for llama, qwen2");
    }

    @Test
    void aMissingBaseIsRefused() {
        for (String name : List.of("no.gguf", "no.json")) {
            assertThatThrownBy(() -> PeftBase.read(folder.resolve(name)))
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.MODEL_NOT_FOUND));
        }
    }
}
