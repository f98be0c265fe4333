package io.llamafu.peft;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.Sha256;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.testing.Frugal;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Conversions for the tiny model: width 128, 4 layers, 4 heads of 32, 2 key-value heads, 320 hidden units. */
class PeftConverterTest {
    private static final PeftBase TINY = PeftBase.read(TinyModel.model());
    private static final Path MEDICAL = TinyModel.folder().resolve("medical-peft");
    private static final String Q_PROJ = "model.layers.0.self_attn.q_proj";
    private static final String V_PROJ = "model.layers.1.self_attn.v_proj";
    private static final String V_TENSOR = "blk.1.attn_v.weight.lora_";

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"tiny-notes-q8_0.gguf", "base-hf/config.json"})
    void medicalBecomesTheFileOfItsTraining(String base) throws IOException {
        Path out = folder.resolve("medical.gguf");
        ConvertedAdapter converted = PeftConverter.convert(
                withoutNameOfTheBase(), out, PeftBase.read(TinyModel.folder().resolve(base)), WeightType.F16);

        GgufFile written = GgufReader.read(out, GgufKind.ADAPTER);
        GgufFile trained = GgufReader.read(TinyModel.adapters().resolve("medical.gguf"), GgufKind.ADAPTER);
        assertThat(written.metadata()).isEqualTo(trained.metadata());
        assertThat(written.tensors()).containsOnlyKeys(trained.tensors().keySet());
        for (GgufTensor tensor : trained.tensors().values()) {
            GgufTensor same = written.findTensor(tensor.name()).orElseThrow();
            assertThat(same.type()).isEqualTo(tensor.type());
            assertThat(same.dimensions()).isEqualTo(tensor.dimensions());
            assertThat(WrittenTensor.bytes(written, tensor.name()))
                    .as(tensor.name())
                    .isEqualTo(WrittenTensor.bytes(trained, tensor.name()));
        }
        assertThat(converted.digest()).isEqualTo(Sha256.of(TinyModel.adapters().resolve("medical.gguf")));
        assertThat(converted.tensors()).isEqualTo(56);
        assertThat(converted.fileBytes()).isEqualTo(Files.size(out));
        assertThat(converted.info().ranks()).containsExactly(4L);
        assertThat(converted.info().alpha()).isEqualTo(16);
    }

    /** The training wrote no name of the base into the GGUF file. */
    private Path withoutNameOfTheBase() throws IOException {
        Path copy = Files.createDirectory(folder.resolve("medical-peft"));
        Files.copy(MEDICAL.resolve("adapter_model.safetensors"), copy.resolve("adapter_model.safetensors"));
        String config = Files.readString(MEDICAL.resolve("adapter_config.json"));
        Files.writeString(
                copy.resolve("adapter_config.json"),
                config.replaceFirst("\"base_model_name_or_path\": \"[^\"]*\",", ""));
        return copy;
    }

    @ParameterizedTest
    @CsvSource({
        "tiny-notes, tiny-notes",
        "/models/tiny-notes/, tiny-notes",
        "HuggingFaceTB/SmolLM2-135M-Instruct, SmolLM2-135M-Instruct"
    })
    void nameOfTheBaseIsKeptWithoutItsFolder(String written, String kept) throws IOException {
        Path copy = withoutNameOfTheBase();
        Path config = copy.resolve("adapter_config.json");
        Files.writeString(
                config,
                Files.readString(config).replaceFirst("\\{", "{\"base_model_name_or_path\": \"" + written + "\","));
        Path out = folder.resolve("named.gguf");
        PeftConverter.convert(copy, out, TINY, WeightType.F16);

        assertThat(GgufReader.read(out, GgufKind.ADAPTER).findString("general.base_model.0.name"))
                .contains(kept);
    }

    @Test
    void invocationOfAnActivatedAdapterIsKept() throws IOException {
        String name = "base_model.model." + V_PROJ;
        PeftFolder peft =
                new PeftFolder().tensor(name + ".lora_A.weight", 2, 128).tensor(name + ".lora_B.weight", 64, 2);
        AdapterInfo info = AdapterInfo.of(convert(peft.with("alora_invocation_tokens", List.of(7, 5, 7))));

        assertThat(info.invocationTokens()).containsExactly(7, 5, 7);
    }

    @ParameterizedTest
    @EnumSource
    void readsAllTypes(SafetensorsType type) throws IOException {
        float[] numbers = PeftFolder.numbers(2 * 64, 5);
        String name = "base_model.model." + V_PROJ;
        GgufFile written = convert(new PeftFolder()
                .tensor(name + ".lora_A.weight", 2, 128)
                .tensor(name + ".lora_B.weight", type, numbers, 64, 2));

        assertThat(WrittenTensor.values(written, V_TENSOR + "b")).isEqualTo(numbers);
    }

    @Test
    void float32IsExact() throws IOException {
        float[] numbers = new float[2 * 128];
        for (int index = 0; index < numbers.length; index++) {
            numbers[index] = (float) Math.exp(index / 9.0 - 20);
        }
        String name = "base_model.model." + V_PROJ;
        Path peft = new PeftFolder()
                .tensor(name + ".lora_A.weight", SafetensorsType.F32, numbers, 2, 128)
                .tensor(name + ".lora_B.weight", 64, 2)
                .write(folder.resolve("peft"));
        PeftConverter.convert(peft, folder.resolve("out.gguf"), TINY, WeightType.F32);

        GgufFile written = GgufReader.read(folder.resolve("out.gguf"), GgufKind.ADAPTER);
        assertThat(WrittenTensor.values(written, V_TENSOR + "a")).isEqualTo(numbers);
    }

    @Test
    void weightsThatNoEngineAcceptsAreRefusedInAnyType() throws IOException {
        String name = "base_model.model." + V_PROJ;
        Path peft = new PeftFolder()
                .tensor(name + ".lora_A.weight", SafetensorsType.F32, large(), 2, 128)
                .tensor(name + ".lora_B.weight", 64, 2)
                .write(folder.resolve("peft"));

        assertFails(
                () -> PeftConverter.convert(peft, folder.resolve("out.gguf"), TINY, WeightType.F32),
                ErrorCode.ADAPTER_INVALID,
                V_TENSOR + "a has a weight that is no finite number from -65504 to 65504");
        assertThat(folder).isDirectoryNotContaining(path -> !path.equals(peft));
    }

    /** As in a state dict that was saved without save_pretrained. */
    @Test
    void theNameOfTheAdapterMayBeInTheKeys() throws IOException {
        String name = "base_model.model." + V_PROJ;
        GgufFile written = convert(new PeftFolder()
                .tensor(name + ".lora_A.default.weight", 2, 128)
                .tensor(name + ".lora_B.default.weight", 64, 2));

        assertThat(written.tensors()).containsOnlyKeys(V_TENSOR + "a", V_TENSOR + "b");
    }

    /** The weights were trained with alpha / sqrt(rank); llama.cpp divides by the rank. */
    @Test
    void rankStabilizedAlphaGivesTheSameScale() throws IOException {
        GgufFile written =
                convert(new PeftFolder().with("use_rslora", true).with("r", 16).module(V_PROJ, 128, 64, 16));

        assertThat(written.findFloat("adapter.lora.alpha").orElseThrow() / 16).isEqualTo(8 / Math.sqrt(16));
        assertThat(WrittenTensor.values(written, V_TENSOR + "b")).isEqualTo(PeftFolder.numbers(16 * 64, 1));
    }

    @Test
    void modulesMayHaveRanksOfTheirOwn() throws IOException {
        GgufFile written = convert(new PeftFolder()
                .with("rank_pattern", Map.of("v_proj", 3))
                .module(Q_PROJ, 128, 128)
                .module(V_PROJ, 128, 64, 3));

        assertThat(written.findFloat("adapter.lora.alpha")).contains(8.0);
        assertThat(written.findTensor(V_TENSOR + "b").orElseThrow().dimensions())
                .containsExactly(3L, 64L);
        assertThat(WrittenTensor.values(written, V_TENSOR + "b")).isEqualTo(PeftFolder.numbers(3 * 64, 3));
    }

    /** A GGUF adapter has one alpha; differences of a module go into its B. */
    @ParameterizedTest
    @ValueSource(strings = {"v_proj", "self_attn.v_proj", "layers.1.self_attn.v_proj", V_PROJ, "^" + V_PROJ})
    void modulesMayHaveAlphasOfTheirOwn(String pattern) throws IOException {
        GgufFile written = convert(new PeftFolder()
                .with("alpha_pattern", Map.of(pattern, 4, "proj", 1, "^self_attn.v_proj", 2))
                .module(Q_PROJ, 128, 128)
                .module(V_PROJ, 128, 64));

        assertThat(written.findFloat("adapter.lora.alpha")).contains(8.0);
        float[] expected = PeftFolder.numbers(2 * 64, 3);
        for (int index = 0; index < expected.length; index++) {
            expected[index] /= 2;
        }
        assertThat(WrittenTensor.values(written, V_TENSOR + "b")).isEqualTo(expected);
        assertThat(WrittenTensor.values(written, V_TENSOR + "a")).isEqualTo(PeftFolder.numbers(2 * 128, 2));
        assertThat(WrittenTensor.values(written, "blk.0.attn_q.weight.lora_a"))
                .isEqualTo(PeftFolder.numbers(2 * 128, 0));
    }

    /** The scale of each module as in PEFT: alpha / sqrt(rank). */
    @Test
    void rankStabilizedModulesOfDifferentRanksKeepTheirScales() throws IOException {
        GgufFile written = convert(new PeftFolder()
                .with("use_rslora", true)
                .with("r", 4)
                .with("rank_pattern", Map.of("v_proj", 1))
                .module(Q_PROJ, 128, 128, 4)
                .module(V_PROJ, 128, 64, 1));

        double alpha = written.findFloat("adapter.lora.alpha").orElseThrow();
        assertThat(alpha / 4).isEqualTo(8 / Math.sqrt(4));
        float[] expected = PeftFolder.numbers(64, 3);
        for (int index = 0; index < expected.length; index++) {
            expected[index] *= (float) (8 / Math.sqrt(1) / (alpha / 1));
        }
        assertThat(WrittenTensor.values(written, V_TENSOR + "b")).isEqualTo(expected);
    }

    @Test
    void theFirstPatternThatMatchesCounts() {
        ModulePatterns patterns = new ModulePatterns();
        patterns.add("q_proj", 1);
        patterns.add("^" + Q_PROJ, 2);
        patterns.add("self_attn.k_proj", 3);
        patterns.add("k_proj", 4);

        assertThat(patterns.find(Q_PROJ)).contains(1.0);
        assertThat(patterns.find("model.layers.0.self_attn.k_proj")).contains(3.0);
        assertThat(patterns.find("model.layers.0.cross_attn.k_proj")).contains(4.0);
        assertThat(patterns.find("model.layers.0.self_attn.xq_proj")).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("refusals")
    void isRefused(String what, UnaryOperator<PeftFolder> change, ErrorCode code, String message) throws IOException {
        Path peft = change.apply(new PeftFolder().module(V_PROJ, 128, 64)).write(folder.resolve("peft"));
        Path out = folder.resolve("out.gguf");

        assertRefused(peft, out, code, message);
        assertThat(folder).isDirectoryNotContaining(path -> !path.equals(peft));
    }

    static Stream<Arguments> refusals() {
        String q = "base_model.model." + Q_PROJ;
        String v = "base_model.model." + V_PROJ;
        return Stream.of(
                invalid(
                        "DoRA",
                        adapter -> adapter.with("use_dora", true),
                        "use_dora: expected unset, as llama.cpp has no DoRA"),
                invalid(
                        "DoRA's tensor",
                        adapter -> adapter.tensor(v + ".lora_magnitude_vector", 64, 1),
                        "expected absent, as llama.cpp has no DoRA"),
                invalid("other method", adapter -> adapter.with("peft_type", "LOHA"), "peft_type: expected 'LORA'"),
                invalid(
                        "no method",
                        adapter -> adapter.without("peft_type"),
                        "peft_type: expected 'LORA', but is missing"),
                invalid("bias", adapter -> adapter.with("bias", "lora_only"), "bias: expected 'none'"),
                invalid("bias of B", adapter -> adapter.with("lora_bias", true), "biases cannot be adapted"),
                invalid("bias tensor", adapter -> adapter.tensor(v + ".bias", 64, 1), "biases cannot be adapted"),
                invalid(
                        "modules to save",
                        adapter -> adapter.with("modules_to_save", List.of("lm_head")),
                        "modules_to_save: expected unset, as whole modules cannot be replaced, but is [\"lm_head\"]"),
                invalid(
                        "saved module",
                        adapter -> adapter.tensor("base_model.model.score.modules_to_save.weight", 2, 128),
                        "whole modules cannot be replaced"),
                invalid(
                        "PiSSA",
                        adapter -> adapter.with("init_lora_weights", "pissa_niter_16"),
                        "leaves the base unchanged"),
                invalid("LoftQ", adapter -> adapter.with("init_lora_weights", "loftq"), "leaves the base unchanged"),
                invalid("transposed", adapter -> adapter.with("fan_in_fan_out", true), "fan_in_fan_out"),
                invalid(
                        "aLoRA",
                        adapter -> adapter.with("alora_invocation_tokens", List.of(1, 2.5)),
                        "alora_invocation_tokens: expected a list of tokens"),
                invalid(
                        "tokens",
                        adapter -> adapter.with("trainable_token_indices", List.of(1)),
                        "trainable_token_indices"),
                invalid(
                        "experts",
                        adapter -> adapter.with("target_parameters", List.of("x")),
                        "experts cannot be adapted"),
                invalid(
                        "repeated layers",
                        adapter -> adapter.with("layer_replication", List.of(List.of(0, 4))),
                        "cannot repeat layers"),
                invalid("rank 0", adapter -> adapter.with("r", 0), "r: expected 1 to 65536, but is 0"),
                invalid("fractional rank", adapter -> adapter.with("r", 2.5), "r: expected 1 to 65536, but is 2.5"),
                invalid("no rank", adapter -> adapter.without("r"), "r: expected 1 to 65536, but is missing"),
                invalid(
                        "alpha 0",
                        adapter -> adapter.with("lora_alpha", 0),
                        "lora_alpha: expected a number other than 0"),
                invalid("small alpha", adapter -> adapter.with("lora_alpha", 1e-50), "lora_alpha: expected"),
                invalid("large alpha", adapter -> adapter.with("lora_alpha", 1e36), "lora_alpha: expected"),
                invalid("text as alpha", adapter -> adapter.with("lora_alpha", "8"), "lora_alpha: expected"),
                invalid("no flag", adapter -> adapter.with("use_rslora", "yes"), "use_rslora: expected true or false"),
                invalid(
                        "expression",
                        adapter -> adapter.with("rank_pattern", Map.of("(a+)+$", 2)),
                        "rank_pattern: expected the end of a module's path and its rank, but is '(a+)+$': 2"),
                invalid("pattern list", adapter -> adapter.with("rank_pattern", List.of(1)), "an object of numbers"),
                invalid("pattern rank", adapter -> adapter.with("rank_pattern", Map.of("x", -1)), "'x': -1"),
                invalid("pattern alpha", adapter -> adapter.with("alpha_pattern", Map.of("x", "y")), "'x': \"y\""),
                invalid(
                        "other rank",
                        adapter -> adapter.with("r", 4),
                        "rank 4, as adapter_config.json says, but is rank 2"),
                invalid(
                        "different ranks",
                        adapter -> adapter.tensor(q + ".lora_A.weight", 2, 128).tensor(q + ".lora_B.weight", 128, 3),
                        "lora_B.weight: expected rank 2, as its lora_A has, but is rank 3"),
                invalid("missing B", adapter -> adapter.tensor(q + ".lora_A.weight", 2, 128), "but is only lora_A"),
                invalid("missing A", adapter -> adapter.tensor(q + ".lora_B.weight", 128, 2), "but is only lora_B"),
                invalid(
                        "twice",
                        adapter -> adapter.tensor(v + ".lora_A.default.weight", 2, 128),
                        "expected the only one for its module, but is the second"),
                invalid(
                        "no matrix",
                        adapter -> adapter.tensor(q + ".lora_A.weight", SafetensorsType.F32, new float[256], 2, 64, 2)
                                .tensor(q + ".lora_B.weight", 128, 2),
                        "expected two matrices, but is [2 x 64 x 2] and [128 x 2]"),
                invalid(
                        "embeddings",
                        adapter -> adapter.tensor("base_model.model.model.embed_tokens.lora_embedding_A", 2, 1024),
                        "token embeddings cannot be adapted"),
                invalid(
                        "output layer",
                        adapter -> adapter.module("lm_head", 128, 1024),
                        "the output layer cannot be adapted"),
                invalid(
                        "other tensor",
                        adapter -> adapter.tensor("x", 2, 2),
                        "x: expected a name like base_model.model."),
                invalid(
                        "not finite",
                        adapter -> adapter.tensor(q + ".lora_A.weight", 2, 128)
                                .tensor(q + ".lora_B.weight", SafetensorsType.F32, infinite(), 128, 2),
                        "weights must be finite"),
                refusal(
                        "large for F16",
                        adapter -> adapter.tensor(q + ".lora_A.weight", 2, 128)
                                .tensor(q + ".lora_B.weight", SafetensorsType.F32, large(), 128, 2),
                        ErrorCode.INVALID_OPTION,
                        "65520.0 of '" + q + ".lora_B.weight' is too large for F16"),
                incompatible(
                        "other module",
                        adapter -> adapter.module("model.layers.0.attn.c_attn", 128, 384),
                        "another module"),
                incompatible(
                        "fused",
                        adapter -> adapter.module("model.layers.0.self_attn.qkv_proj", 128, 256),
                        "another module"),
                incompatible("no layer", adapter -> adapter.module("model.norm", 128, 128), "another module"),
                incompatible(
                        "a zero before",
                        adapter -> adapter.module("model.layers.00.self_attn.q_proj", 128, 128),
                        "another"),
                incompatible(
                        "layer",
                        adapter -> adapter.module("model.layers.4.self_attn.q_proj", 128, 128),
                        "for blk.4.attn_q.weight, which it lacks"),
                incompatible(
                        "inputs",
                        adapter -> adapter.module(Q_PROJ, 64, 128),
                        "128 columns, as the base has, but is [2 x 64]"),
                incompatible(
                        "outputs",
                        adapter -> adapter.module(Q_PROJ, 128, 64),
                        "128 rows, as the base has, but is [64 x 2]"));
    }

    private static float[] infinite() {
        float[] numbers = new float[256];
        numbers[255] = Float.NEGATIVE_INFINITY;
        return numbers;
    }

    private static float[] large() {
        float[] numbers = new float[256];
        numbers[7] = 65_519;
        numbers[8] = 65_520;
        return numbers;
    }

    private static Arguments invalid(String what, UnaryOperator<PeftFolder> change, String message) {
        return refusal(what, change, ErrorCode.ADAPTER_INVALID, message);
    }

    private static Arguments incompatible(String what, UnaryOperator<PeftFolder> change, String message) {
        return refusal(what, change, ErrorCode.ADAPTER_INCOMPATIBLE, message);
    }

    private static Arguments refusal(String what, UnaryOperator<PeftFolder> change, ErrorCode code, String message) {
        return arguments(what, change, code, message);
    }

    @Test
    void allReasonsAreGivenAtOnce() throws IOException {
        Path peft = new PeftFolder()
                .with("use_dora", true)
                .with("bias", "all")
                .tensor("base_model.model." + Q_PROJ + ".lora_A.weight", 2, 128)
                .module(V_PROJ, 128, 32)
                .tensor("base_model.model.lm_head.lora_A.weight", 2, 128)
                .write(folder.resolve("peft"));

        assertThatThrownBy(() -> PeftConverter.convert(peft, folder.resolve("out.gguf"), TINY, WeightType.F16))
                .hasMessage(
                        "ADAPTER_INVALID: The adapter '%s' is no valid LoRA adapter:".formatted(peft)
                                + " bias: expected 'none', as biases cannot be adapted, but is \"all\";"
                                + " use_dora: expected unset, as llama.cpp has no DoRA, but is true;"
                                + " base_model.model.lm_head.lora_A.weight: expected absent, as the output layer cannot be adapted, but is present;"
                                + " model.layers.0.self_attn.q_proj: expected lora_A and lora_B, but is only lora_A;"
                                + " base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight: expected 64 rows, as the base has, but is [32 x 2].");
    }

    @Test
    void aConversionThatFailsLeavesTheFileBeforeIt() throws IOException {
        Path out = folder.resolve("out.gguf");
        PeftConverter.convert(MEDICAL, out, TINY, WeightType.F16);
        byte[] before = Files.readAllBytes(out);
        String q = "base_model.model." + Q_PROJ;
        Path peft = new PeftFolder()
                .module(V_PROJ, 128, 64)
                .tensor(q + ".lora_A.weight", 2, 128)
                .tensor(q + ".lora_B.weight", SafetensorsType.F32, infinite(), 128, 2)
                .write(folder.resolve("peft"));

        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "weights must be finite");
        assertThat(Files.readAllBytes(out)).isEqualTo(before);
        assertThat(folder).isDirectoryNotContaining(path -> !path.equals(peft) && !path.equals(out));
    }

    @Test
    void otherFormsOfWeightsAreNamed() throws IOException {
        Path peft = new PeftFolder().module(V_PROJ, 128, 64).write(folder.resolve("peft"));
        Path weights = peft.resolve("adapter_model.safetensors");
        Path out = folder.resolve("out.gguf");

        Files.delete(weights);
        assertRefused(peft, out, ErrorCode.ADAPTER_NOT_FOUND, "adapter_model.safetensors' does not exist");
        Files.createDirectory(weights);
        assertRefused(peft, out, ErrorCode.ADAPTER_NOT_FOUND, "is no regular file");
        Files.delete(weights);
        Files.writeString(peft.resolve("adapter_model.bin"), "");
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "safe_serialization=True");
        Files.writeString(peft.resolve("adapter_model.safetensors.index.json"), "{}");
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "in several parts");
        assertRefused(folder.resolve("nowhere"), out, ErrorCode.ADAPTER_NOT_FOUND, "does not exist");
    }

    /** As Unsloth's save_pretrained_merged writes it. */
    @ParameterizedTest
    @ValueSource(strings = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"})
    void aWholeModelIsNamed(String weights) throws IOException {
        Path merged = Files.createDirectory(folder.resolve("merged"));
        Files.writeString(merged.resolve("config.json"), "{\"model_type\": \"llama\"}");
        Files.writeString(merged.resolve(weights), "");

        assertRefused(
                merged,
                folder.resolve("out.gguf"),
                ErrorCode.ADAPTER_INVALID,
                "is a whole model, into which an adapter was merged");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "[]", "null", "{}{}", "{\"r\":1,\"r\":2}", "{\"r\":NaN}", "\u0000"})
    void aConfigurationThatIsNoJsonObjectIsRefused(String json) throws IOException {
        Path peft = new PeftFolder().module(V_PROJ, 128, 64).write(folder.resolve("peft"));
        Files.writeString(peft.resolve("adapter_config.json"), json);

        assertRefused(peft, folder.resolve("out.gguf"), ErrorCode.ADAPTER_INVALID, "JSON");
    }

    @Test
    void malformedUtf8IsRefused() throws IOException {
        Path peft = new PeftFolder().module(V_PROJ, 128, 64).write(folder.resolve("peft"));
        Path out = folder.resolve("out.gguf");
        byte[] weights = Files.readAllBytes(peft.resolve("adapter_model.safetensors"));
        weights[Long.BYTES + 16] = (byte) 0xff;

        Files.write(peft.resolve("adapter_model.safetensors"), weights);
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "it is not UTF-8");
        Files.write(peft.resolve("adapter_config.json"), new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "it is not UTF-8");
    }

    @Test
    void aConfigurationThatIsDeepOrLongIsRefused() throws IOException {
        Path peft = new PeftFolder().module(V_PROJ, 128, 64).write(folder.resolve("peft"));
        Path out = folder.resolve("out.gguf");

        Files.writeString(peft.resolve("adapter_config.json"), "{\"r\":" + "[".repeat(100_000));
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "nesting depth");
        Files.writeString(peft.resolve("adapter_config.json"), " ".repeat(Json.MAX_FILE_BYTES + 1));
        assertRefused(peft, out, ErrorCode.ADAPTER_INVALID, "at most 524288 are read");
    }

    /** As many values as fit into a configuration, and as many tensors with the longest names as are accepted. */
    @Test
    void theLargestFilesTakeLessThan64Megabytes() throws IOException {
        SafetensorsBytes weights = new SafetensorsBytes();
        for (int index = 0; index < 16_384; index++) {
            weights.tensor("%05d".formatted(index).repeat(36), SafetensorsType.F16, new float[] {1}, 1);
        }
        Path peft = new PeftFolder().write(folder.resolve("peft"));
        Files.write(peft.resolve("adapter_model.safetensors"), weights.bytes());
        String config = Files.readString(peft.resolve("adapter_config.json"));
        String values = "{},".repeat((Json.MAX_FILE_BYTES - config.length()) / 3 - 10) + "{}";
        Files.writeString(
                peft.resolve("adapter_config.json"), config.replaceFirst("\\{", "{\"values\":[%s],".formatted(values)));

        assertThat(Frugal.run(
                        "the largest files",
                        () -> PeftConverter.convert(peft, folder.resolve("out.gguf"), TINY, WeightType.F16)))
                .hasValueSatisfying(refused -> assertThat(refused).hasMessageContaining("and 16375 more reasons"));
    }

    @Test
    void noInputIsOverwrittenByWhateverPath() throws IOException {
        Path peft = new PeftFolder().module(V_PROJ, 128, 64).write(folder.resolve("peft"));
        Path model = Files.copy(TinyModel.model(), folder.resolve("base.gguf"));
        Path config = Files.createDirectory(folder.resolve("hf")).resolve("config.json");
        Files.copy(TinyModel.folder().resolve("base-hf/config.json"), config);
        Path softLink = Files.createSymbolicLink(folder.resolve("soft.gguf"), model);
        Path hardLink = Files.createLink(folder.resolve("hard.gguf"), model);
        Path weights = peft.resolve("adapter_model.safetensors");

        for (Path out : List.of(model, softLink, hardLink, peft.resolve("../base.gguf"))) {
            assertInputIsKept(peft, out, model, PeftBase.read(model));
        }
        assertInputIsKept(peft, config, config, PeftBase.read(config));
        assertInputIsKept(peft, weights, weights, TINY);
        assertInputIsKept(peft, peft.resolve("adapter_config.json"), peft.resolve("adapter_config.json"), TINY);
    }

    private static void assertInputIsKept(Path peft, Path out, Path input, PeftBase base) throws IOException {
        byte[] before = Files.readAllBytes(input);
        assertThatThrownBy(() -> PeftConverter.convert(peft, out, base, WeightType.F16))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContainingAll("The output '" + out, "is the input '", "name another file");
        assertThat(Files.readAllBytes(input)).isEqualTo(before);
    }

    @Test
    void whatTheConfigurationSaysAndNothingUsesIsSaid() throws IOException {
        Path peft = new PeftFolder()
                .with("use_newest_method", true)
                .with("newest_config", null)
                .with("another", List.of())
                .with("lora_dropout", 0.1)
                .module(V_PROJ, 128, 64)
                .write(folder.resolve("peft"));

        assertThat(PeftConverter.convert(peft, folder.resolve("out.gguf"), TINY, WeightType.F16)
                        .notes())
                .containsExactly(
                        "adapter_config.json has \"use_newest_method\": true, which is not known and was ignored;"
                                + " check that the adapter needs no more than a plain LoRA.",
                        "target_modules has \"q_proj\", but no tensor is for such a module.");
        assertThat(PeftConverter.convert(MEDICAL, folder.resolve("medical.gguf"), TINY, WeightType.F16)
                        .notes())
                .isEmpty();
    }

    @Test
    void targetsMayBeEndsOfPathsAndNotesAreBounded() throws IOException {
        PeftFolder targets = new PeftFolder()
                .with("target_modules", List.of("layers.1.self_attn.v_proj", V_PROJ, "v_proj"))
                .module(V_PROJ, 128, 64);
        for (int option = 0; option < 1000; option++) {
            targets.with("option-" + option, option);
        }

        assertThat(PeftConverter.convert(
                                targets.write(folder.resolve("peft")), folder.resolve("out.gguf"), TINY, WeightType.F16)
                        .notes())
                .hasSize(21)
                .noneMatch(note -> note.contains("target_modules"))
                .contains("There are 980 more notes.");
    }

    @Test
    void anOutputThatCannotBeWrittenIsNamed() throws IOException {
        Files.createDirectory(folder.resolve("taken"));

        for (String name : List.of("no/folder.gguf", "taken")) {
            assertRefused(MEDICAL, folder.resolve(name), ErrorCode.INVALID_OPTION, "cannot be written");
        }
        assertThat(folder).isDirectoryNotContaining(path -> !path.endsWith("taken"));
    }

    private GgufFile convert(PeftFolder adapter) throws IOException {
        Path out = folder.resolve("out.gguf");
        PeftConverter.convert(adapter.write(folder.resolve("peft")), out, TINY, WeightType.F16);
        return GgufReader.read(out, GgufKind.ADAPTER);
    }

    private static void assertRefused(Path peft, Path out, ErrorCode code, String message) {
        assertThatThrownBy(() -> PeftConverter.convert(peft, out, TINY, WeightType.F16))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContaining(message);
    }
}
