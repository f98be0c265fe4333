package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static io.llamafu.testing.Failures.code;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** GPT-2 looks up positions in a matrix, which no adapter changes, although the shapes fit. */
class UnappliedTensorsTest {
    private static final long WIDTH = 32;
    private static final long POSITIONS = 128;

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void adapterOfATensorThatTheModelDoesNotMultiplyIsIncompatible(LoraBatching batching) throws Exception {
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        adapter(adapters, "attention", "blk.0.attn_qkv.weight", WIDTH, 3 * WIDTH);
        adapter(adapters, "positions", "position_embd.weight", WIDTH, POSITIONS);
        EngineOptions options = EngineOptions.builder(model())
                .adapters(adapters)
                .contextSize(64)
                .parallelSequences(2)
                .threads(1)
                .loraBatching(batching)
                .build();
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            assertThat(engine.preload(AdapterStack.of("attention")).get()).hasSize(1);
            assertThatThrownBy(
                            () -> engine.preload(AdapterStack.of("positions")).get())
                    .cause()
                    .has(code(ErrorCode.ADAPTER_INCOMPATIBLE))
                    .hasMessageContaining(
                            "position_embd.weight: expected a tensor that an adapter can change, but is not multiplied");
            assertThat(engine.adapters())
                    .filteredOn(adapter -> adapter.problem().isPresent())
                    .extracting(LoadedAdapter::name)
                    .containsExactly("positions");
        }
    }

    private static void adapter(Path folder, String name, String target, long in, long out) throws IOException {
        GgufWriter writer = new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "gpt2")
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", 4);
        matrix(writer, target + ".lora_a", in, 4);
        matrix(writer, target + ".lora_b", 4, out);
        writer.write(folder.resolve(name + ".gguf"));
    }

    private Path model() throws IOException {
        List<String> tokens = List.of("<unk>", "<s>", "</s>", "a");
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", "gpt2")
                .uint32("gpt2.block_count", 1)
                .uint32("gpt2.embedding_length", WIDTH)
                .uint32("gpt2.context_length", POSITIONS)
                .uint32("gpt2.feed_forward_length", WIDTH)
                .uint32("gpt2.attention.head_count", 2)
                .float32("gpt2.attention.layer_norm_epsilon", 1e-5f)
                .string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", tokens);
        matrix(writer, "token_embd.weight", WIDTH, tokens.size());
        matrix(writer, "position_embd.weight", WIDTH, POSITIONS);
        matrix(writer, "output.weight", WIDTH, tokens.size());
        weightAndBias(writer, "output_norm", WIDTH);
        weightAndBias(writer, "blk.0.attn_norm", WIDTH);
        weightAndBias(writer, "blk.0.ffn_norm", WIDTH);
        linear(writer, "blk.0.attn_qkv", 3 * WIDTH);
        linear(writer, "blk.0.attn_output", WIDTH);
        linear(writer, "blk.0.ffn_up", WIDTH);
        linear(writer, "blk.0.ffn_down", WIDTH);
        Path file = folder.resolve("model.gguf");
        writer.write(file);
        return file;
    }

    private static void linear(GgufWriter writer, String name, long out) {
        matrix(writer, name + ".weight", WIDTH, out);
        vector(writer, name + ".bias", out);
    }

    private static void weightAndBias(GgufWriter writer, String name, long length) {
        vector(writer, name + ".weight", length);
        vector(writer, name + ".bias", length);
    }

    private static void vector(GgufWriter writer, String name, long length) {
        writer.tensor(
                name, GgufTensorType.F32, List.of(length), GgufTensorData.random(GgufTensorType.F32, length, 3, 0.1));
    }

    private static void matrix(GgufWriter writer, String name, long in, long out) {
        writer.tensor(
                name,
                GgufTensorType.F32,
                List.of(in, out),
                GgufTensorData.random(GgufTensorType.F32, in * out, name.hashCode(), 0.1));
    }
}
