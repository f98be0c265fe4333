package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterCompatibilityTest {
    private static final GgufFile BASE = GgufReader.read(TinyModel.model(), GgufKind.MODEL);

    @TempDir
    Path folder;

    @Test
    void theTinyAdaptersFitTheTinyModel() {
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            GgufFile adapter = GgufReader.read(TinyModel.adapters().resolve(name + ".gguf"), GgufKind.ADAPTER);

            assertThat(AdapterCompatibility.check(BASE, adapter).reasons()).isEmpty();
        }
    }

    @Test
    void describesAnAdapter() {
        AdapterInfo info =
                AdapterInfo.of(GgufReader.read(TinyModel.adapters().resolve("medical.gguf"), GgufKind.ADAPTER));

        assertThat(info)
                .isEqualTo(new AdapterInfo(
                        "llama",
                        16,
                        List.of(4L),
                        List.of("attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"),
                        List.of(),
                        35_840,
                        71_680));
    }

    @Test
    void allReasonsAreReportedAtOnce() throws IOException {
        CompatibilityReport report = check(new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "qwen2")
                .string("adapter.type", "dora")
                .float32("adapter.lora.alpha", Float.POSITIVE_INFINITY)
                .uint32s("adapter.alora.invocation_tokens", new int[] {1, 2_000_000_000})
                .tensor("blk.0.attn_q.weight.lora_a", GgufTensorType.F64, List.of(64L, 4L), zeros(64 * 4 * 8))
                .tensor("blk.0.attn_q.weight.lora_b", GgufTensorType.F32, List.of(8L, 128L), zeros(8 * 128 * 4))
                .tensor("blk.9.attn_q.weight.lora_a", GgufTensorType.F32, List.of(128L, 4L), zeros(128 * 4 * 4))
                .tensor("blk.0.attn_norm.weight", GgufTensorType.F32, List.of(128L), zeros(512)));

        assertThat(report.reasons())
                .extracting(CompatibilityReport.Reason::toString)
                .containsExactly(
                        "adapter.type: expected 'lora', but is 'dora'",
                        "general.architecture: expected 'llama', but is 'qwen2'",
                        "adapter.lora.alpha: expected a FLOAT32 from -65504 to 65504, but is FLOAT32 Infinity",
                        "adapter.alora.invocation_tokens: expected an array of 1 to 1024 UINT32 tokens below 1024, but is one with 2000000000",
                        "blk.0.attn_q.weight.lora_a: expected one of the types [F32, F16, Q8_0, BF16], but is F64",
                        "blk.0.attn_norm.weight: expected a name that ends with .lora_a or .lora_b, but is a tensor that llama.cpp would not apply",
                        "layers: expected 4, blk.0 to blk.3, but is an adapter of blk.9",
                        "blk.0.attn_q.weight.lora_b: expected rank 4, as its .lora_a has, but is rank 8",
                        "blk.0.attn_q.weight.lora_a: expected 128 in dimension 0 for the base tensor [128 x 128], but is 64 of [64 x 4]",
                        "blk.9.attn_q.weight.lora_b: expected present, as its .lora_a is, but is missing",
                        "blk.9.attn_q.weight: expected a tensor of the base model, but is missing from it");
        assertThatThrownBy(() -> report.requireCompatible("broken"))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_INVALID))
                .hasMessageContaining("The adapter 'broken' is no valid LoRA adapter: adapter.type: expected 'lora'");
    }

    @Test
    void anAdapterOfAnotherModelIsIncompatible() throws IOException {
        CompatibilityReport report =
                check(lora().tensor("blk.7.attn_q.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), zeros(1024))
                        .tensor("blk.7.attn_q.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(1024)));

        assertThatThrownBy(() -> report.requireCompatible("other"))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_INCOMPATIBLE))
                .hasMessageContaining("blk.7.attn_q.weight: expected a tensor of the base model");
    }

    @Test
    void theModelThatAnAdapterNamesHelpsToFindTheCauseButIsNoReason() throws IOException {
        GgufWriter named = lora().uint32("general.base_model.count", 1).string("general.base_model.0.name", "Other 7B");
        CompatibilityReport fits =
                check(named.tensor("blk.0.attn_q.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), zeros(1024))
                        .tensor("blk.0.attn_q.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(1024)));
        assertThat(fits.isCompatible()).isTrue();
        assertThat(fits.trainedOn()).contains("Other 7B");
        assertThat(fits.isOfAnotherBase()).isTrue();

        CompatibilityReport report =
                check(named.tensor("blk.7.attn_q.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), zeros(1024))
                        .tensor("blk.7.attn_q.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(1024)));
        assertThatThrownBy(() -> report.requireCompatible("other"))
                .hasMessageContaining("It says that it was trained on 'Other 7B'; the model is 'tiny");
    }

    @Test
    void nameOfTheBaseMayBeWrittenInOtherWays() throws IOException {
        for (String name : List.of(
                "tiny-notes", "Tiny Notes", "tiny_notes", "tiny-notes-unsloth-bnb-4bit", "tiny-notes-bnb-4bit")) {
            assertThat(check(lora().string("general.base_model.0.name", name)).isOfAnotherBase())
                    .as(name)
                    .isFalse();
        }
        assertThat(check(lora()).isOfAnotherBase()).as("it names none").isFalse();
    }

    @Test
    void anAdapterWithoutTensorsIsInvalid() throws IOException {
        assertThat(check(lora()).reasons())
                .extracting(CompatibilityReport.Reason::subject)
                .containsExactly("tensors");
    }

    /** llama.cpp would multiply the transposed A with the output and end the process. */
    @Test
    void embeddingsThatAreTheOutputTooCannotBeAdapted() throws IOException {
        CompatibilityReport report =
                check(lora().tensor("token_embd.weight.lora_a", GgufTensorType.F16, List.of(4L, 1024L), zeros(8192))
                        .tensor("token_embd.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(1024)));

        assertThat(report.reasons())
                .extracting(CompatibilityReport.Reason::expected)
                .containsExactly("unchanged, as the base model uses its embeddings as output weights too");
    }

    @Test
    void theTransposedPairOfSeparateEmbeddingsFits() throws IOException {
        Path path = folder.resolve("untied.gguf");
        new GgufWriter()
                .string("general.architecture", "llama")
                .tensor("token_embd.weight", GgufTensorType.F16, List.of(128L, 1024L), zeros(262_144))
                .tensor("output.weight", GgufTensorType.F16, List.of(128L, 1024L), zeros(262_144))
                .write(path);
        GgufFile base = GgufReader.read(path, GgufKind.MODEL);
        GgufFile adapter =
                write(lora().tensor("token_embd.weight.lora_a", GgufTensorType.F16, List.of(4L, 1024L), zeros(8192))
                        .tensor("token_embd.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(1024)));

        assertThat(AdapterCompatibility.check(base, adapter).reasons()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(floats = {65_505, -65_505, 1e30f, Float.NaN})
    void alphaThatNoTrainingGivesIsRefused(float alpha) throws IOException {
        assertThat(check(queries(lora(alpha))).reasons())
                .extracting(CompatibilityReport.Reason::toString)
                .containsExactly("adapter.lora.alpha: expected a FLOAT32 from -65504 to 65504, but is FLOAT32 "
                        + (double) alpha);
        assertThat(check(queries(lora(65_504))).reasons()).isEmpty();
    }

    private static GgufWriter queries(GgufWriter writer) {
        return writer.tensor("blk.0.attn_q.weight.lora_a", GgufTensorType.F32, List.of(128L, 4L), zeros(128 * 4 * 4))
                .tensor("blk.0.attn_q.weight.lora_b", GgufTensorType.F32, List.of(4L, 128L), zeros(4 * 128 * 4));
    }

    private static GgufWriter lora() {
        return lora(16);
    }

    private static GgufWriter lora(float alpha) {
        return new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "llama")
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", alpha);
    }

    private static GgufTensorData zeros(int count) {
        return out -> out.write(new byte[count]);
    }

    private CompatibilityReport check(GgufWriter writer) throws IOException {
        return AdapterCompatibility.check(BASE, write(writer));
    }

    private GgufFile write(GgufWriter writer) throws IOException {
        Path path = folder.resolve("adapter.gguf");
        writer.write(path);
        return GgufReader.read(path, GgufKind.ADAPTER);
    }
}
