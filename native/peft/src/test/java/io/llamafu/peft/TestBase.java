package io.llamafu.peft;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model of two layers with zero weights: width 24, 4 heads of 8, 2 key-value heads, 40 hidden units. */
record TestBase(String architecture, boolean fused) {
    static final int WIDTH = 24;
    static final int HEAD_WIDTH = 8;
    static final int QUERIES = 4 * HEAD_WIDTH;
    static final int KEYS = 2 * HEAD_WIDTH;
    static final int HIDDEN = 40;

    Path write(Path path) throws IOException {
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", architecture)
                .uint32(architecture + ".block_count", 2)
                .uint32(architecture + ".embedding_length", WIDTH)
                .uint32(architecture + ".context_length", 64)
                .uint32(architecture + ".attention.head_count", 4)
                .uint32(architecture + ".attention.head_count_kv", 2)
                .uint32(architecture + ".attention.key_length", HEAD_WIDTH)
                .uint32(architecture + ".attention.value_length", HEAD_WIDTH)
                .uint32(architecture + ".rope.dimension_count", HEAD_WIDTH)
                .string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", List.of("<unk>", "<s>", "</s>", "a"));
        matrix(writer, "token_embd.weight", WIDTH, 4);
        for (int layer = 0; layer < 2; layer++) {
            writeLayer(writer, "blk.%d.".formatted(layer));
        }
        writer.write(path);
        return path;
    }

    private void writeLayer(GgufWriter writer, String layer) {
        if (fused) {
            matrix(writer, layer + "attn_qkv.weight", WIDTH, QUERIES + 2 * KEYS);
            matrix(writer, layer + "ffn_up.weight", WIDTH, 2 * HIDDEN);
        } else {
            matrix(writer, layer + "attn_q.weight", WIDTH, QUERIES);
            matrix(writer, layer + "attn_k.weight", WIDTH, KEYS);
            matrix(writer, layer + "attn_v.weight", WIDTH, KEYS);
            matrix(writer, layer + "ffn_gate.weight", WIDTH, HIDDEN);
            matrix(writer, layer + "ffn_up.weight", WIDTH, HIDDEN);
        }
        matrix(writer, layer + "attn_output.weight", QUERIES, WIDTH);
        matrix(writer, layer + "ffn_down.weight", HIDDEN, WIDTH);
    }

    private static void matrix(GgufWriter writer, String name, long inputs, long outputs) {
        writer.tensor(
                name,
                GgufTensorType.F32,
                List.of(inputs, outputs),
                GgufTensorData.constant(GgufTensorType.F32, inputs * outputs, 0));
    }

    /** The same as a Hugging Face configuration. */
    static Path writeConfig(Path path, String modelType) throws IOException {
        return writeConfig(
                path,
                Map.of(
                        "model_type", modelType,
                        "hidden_size", WIDTH,
                        "intermediate_size", HIDDEN,
                        "num_hidden_layers", 2,
                        "num_attention_heads", 4,
                        "num_key_value_heads", 2,
                        "head_dim", HEAD_WIDTH));
    }

    static Path writeConfig(Path path, Map<String, Object> config) throws IOException {
        return Files.write(path, new ObjectMapper().writeValueAsBytes(new LinkedHashMap<>(config)));
    }
}
