package io.llamafu.testing;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** The parts of which an {@link ArchitectureModel} is made. */
final class ArchitectureWriter {
    static final int WIDTH = 64;
    static final int INNER = 96;
    static final int HEADS = 4;
    static final int KEY_VALUE_HEADS = 2;
    static final int STATE = 16;
    static final int KERNEL = 4;
    static final int EXPERTS = 4;
    private static final int CONTEXT = 2048;
    private static final int BYTES = 256;
    static final List<String> CONTROLS = List.of("<unk>", "<s>", "</s>");
    static final int VOCABULARY = BYTES + 3;
    /** {@code LLAMA_TOKEN_TYPE_NORMAL}, {@code LLAMA_TOKEN_TYPE_CONTROL} and {@code LLAMA_TOKEN_TYPE_BYTE}. */
    private static final int NORMAL = 1;

    private static final int CONTROL = 3;
    private static final int BYTE = 6;

    private final String architecture;
    private final int blocks;
    final GgufWriter writer = new GgufWriter();
    final Map<String, List<Long>> tensors = new LinkedHashMap<>();
    private boolean hasRmsEpsilon = true;

    ArchitectureWriter(ArchitectureModel model, Optional<String> preTokenizer) {
        this.architecture = model.architecture();
        this.blocks = model.blocks();
        writer.string("general.architecture", architecture);
        integer("block_count", blocks);
        integer("context_length", CONTEXT);
        integer("embedding_length", WIDTH);
        preTokenizer.ifPresentOrElse(this::addGpt2Vocabulary, this::addVocabulary);
        // each token of a tied model would otherwise be followed by itself
        random("token_embd.weight", model.isTied() ? 1.0 / 16 : 1, WIDTH, VOCABULARY);
        if (!model.isTied()) {
            random("output.weight", 1.0 / 8, WIDTH, VOCABULARY);
        }
        norm(model == ArchitectureModel.LFM2 ? "token_embd_norm.weight" : "output_norm.weight", WIDTH);
        model.content().accept(this);
        if (hasRmsEpsilon) {
            number("attention.layer_norm_rms_epsilon", 1e-5f);
        }
        if (model != ArchitectureModel.NEMOTRON_H) {
            integer("feed_forward_length", INNER);
        }
    }

    private void addVocabulary() {
        List<String> tokens = new ArrayList<>(CONTROLS);
        for (int value = 0; value < BYTES; value++) {
            tokens.add(String.format(Locale.ROOT, "<0x%02X>", value));
        }
        int[] types = new int[tokens.size()];
        Arrays.fill(types, BYTE);
        Arrays.fill(types, 0, CONTROLS.size(), CONTROL);
        writer.string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", tokens)
                .float32s("tokenizer.ggml.scores", new float[tokens.size()])
                .int32s("tokenizer.ggml.token_type", types);
    }

    private void addGpt2Vocabulary(String preTokenizer) {
        List<String> tokens = new ArrayList<>(CONTROLS);
        int other = BYTES;
        for (int value = 0; value < BYTES; value++) {
            boolean plain = (value > ' ' && value <= '~') || (value > 0xA0 && value != 0xAD);
            tokens.add(Character.toString(plain ? value : other++));
        }
        int[] types = new int[tokens.size()];
        Arrays.fill(types, NORMAL);
        Arrays.fill(types, 0, CONTROLS.size(), CONTROL);
        writer.string("tokenizer.ggml.model", "gpt2")
                .string("tokenizer.ggml.pre", preTokenizer)
                .strings("tokenizer.ggml.tokens", tokens)
                .strings("tokenizer.ggml.merges", List.of())
                .int32s("tokenizer.ggml.token_type", types)
                .uint32("tokenizer.ggml.bos_token_id", 1)
                .uint32("tokenizer.ggml.eos_token_id", 2);
    }

    void integer(String key, int value) {
        writer.uint32(architecture + "." + key, value);
    }

    void integers(String key, int... values) {
        writer.uint32s(architecture + "." + key, values);
    }

    void number(String key, float value) {
        writer.float32(architecture + "." + key, value);
    }

    void text(String key, String value) {
        writer.string(architecture + "." + key, value);
    }

    void flag(String key, boolean value) {
        writer.bool(architecture + "." + key, value);
    }

    void heads() {
        integer("attention.head_count", HEADS);
        integer("attention.head_count_kv", KEY_VALUE_HEADS);
    }

    /** Keys and values for each head with these widths, and their projections in every layer. */
    void attention(int keys, int values) {
        heads();
        if (keys != WIDTH / HEADS) {
            integer("attention.key_length", keys);
            integer("attention.value_length", values);
        }
        eachBlock(block -> {
            block.norm("attn_norm", WIDTH);
            block.projections(keys, values);
        });
    }

    void stateSpace(int inner, int rank, int groups) {
        integer("ssm.conv_kernel", KERNEL);
        integer("ssm.inner_size", inner);
        integer("ssm.state_size", STATE);
        integer("ssm.time_step_rank", rank);
        if (groups > 0) {
            integer("ssm.group_count", groups);
        }
    }

    /** Two of four for each token. */
    void experts() {
        integer("expert_count", EXPERTS);
        integer("expert_used_count", 2);
    }

    void layerNorm() {
        hasRmsEpsilon = false;
        number("attention.layer_norm_epsilon", 1e-5f);
    }

    void rwkv(int headSize) {
        layerNorm();
        integer("wkv.head_size", headSize);
        norm("token_embd_norm.weight", WIDTH);
        constant("token_embd_norm.bias", 0, WIDTH);
        constant("output_norm.bias", 0, WIDTH);
    }

    void eachBlock(Consumer<Block> content) {
        for (int index = 0; index < blocks; index++) {
            content.accept(block(index));
        }
    }

    Block block(int index) {
        return new Block(this, "blk.%d.".formatted(index));
    }

    void norm(String name, int length) {
        constant(name, 1, length);
    }

    void constant(String name, float value, int... dimensions) {
        tensor(name, GgufTensorData.constant(GgufTensorType.F32, elements(dimensions), value), dimensions);
    }

    void random(String name, double deviation, int... dimensions) {
        tensor(
                name,
                GgufTensorData.random(GgufTensorType.F32, elements(dimensions), name.hashCode(), deviation),
                dimensions);
    }

    private void tensor(String name, GgufTensorData data, int... dimensions) {
        List<Long> lengths = Arrays.stream(dimensions).asLongStream().boxed().toList();
        writer.tensor(name, GgufTensorType.F32, lengths, data);
        tensors.put(name, lengths);
    }

    private static int elements(int... dimensions) {
        return Arrays.stream(dimensions).reduce(1, (left, right) -> left * right);
    }

    /** A layer. */
    record Block(ArchitectureWriter model, String prefix) {
        void norm(String name, int length) {
            model.norm(prefix + name + ".weight", length);
        }

        void headNorms(int width) {
            norm("attn_q_norm", width);
            norm("attn_k_norm", width);
        }

        void bias(String name, int... dimensions) {
            model.random(prefix + name + ".bias", 0.1, dimensions);
        }

        void constant(String name, float value, int... dimensions) {
            model.constant(prefix + name, value, dimensions);
        }

        void matrix(String name, int... dimensions) {
            model.random(prefix + name + ".weight", 1 / Math.sqrt(dimensions[0]), dimensions);
        }

        void vectors(String name, int... dimensions) {
            model.random(prefix + name + ".weight", 0.3, dimensions);
        }

        void projections(int keys, int values) {
            matrix("attn_q", WIDTH, HEADS * keys);
            matrix("attn_k", WIDTH, KEY_VALUE_HEADS * keys);
            matrix("attn_v", WIDTH, KEY_VALUE_HEADS * values);
            matrix("attn_output", HEADS * values, WIDTH);
        }

        void experts(int inner) {
            norm("ffn_norm", WIDTH);
            expertMatrices(inner);
        }

        void expertMatrices(int inner) {
            matrix("ffn_gate_inp", WIDTH, EXPERTS);
            matrix("ffn_gate_exps", WIDTH, inner, EXPERTS);
            matrix("ffn_down_exps", inner, WIDTH, EXPERTS);
            matrix("ffn_up_exps", WIDTH, inner, EXPERTS);
        }

        void sharedExpert(int inner) {
            matrix("ffn_gate_shexp", WIDTH, inner);
            matrix("ffn_down_shexp", inner, WIDTH);
            matrix("ffn_up_shexp", WIDTH, inner);
        }

        /** The linear attention of Qwen 3.5. */
        void deltaRule(int inner, int heads, int groups) {
            int convolved = inner + 2 * groups * STATE;
            matrix("attn_qkv", WIDTH, convolved);
            matrix("attn_gate", WIDTH, inner);
            matrix("ssm_conv1d", KERNEL, convolved);
            bias("ssm_dt", heads);
            constant("ssm_a", -1, heads);
            matrix("ssm_beta", WIDTH, heads);
            matrix("ssm_alpha", WIDTH, heads);
            norm("ssm_norm", STATE);
            matrix("ssm_out", inner, WIDTH);
        }

        /** As in Mamba 2. */
        void secondStateSpace(int inner, int heads, int groups) {
            int convolved = inner + 2 * groups * STATE;
            matrix("ssm_in", WIDTH, inner + convolved + heads);
            matrix("ssm_conv1d", KERNEL, convolved);
            bias("ssm_conv1d", convolved);
            bias("ssm_dt", heads);
            constant("ssm_a", -1, 1, heads);
            constant("ssm_d", 1, 1, heads);
            model.constant(prefix + "ssm_norm.weight", 1, inner / groups, groups);
            matrix("ssm_out", inner, WIDTH);
        }

        void rwkv() {
            for (String norm : List.of("attn_norm", "attn_norm_2", "time_mix_ln")) {
                norm(norm, WIDTH);
                constant(norm + ".bias", 0, WIDTH);
            }
            for (String matrix : List.of("key", "value", "receptance", "output")) {
                matrix("time_mix_" + matrix, WIDTH, WIDTH);
            }
            vectors("channel_mix_lerp_k", WIDTH, 1, 1);
            matrix("channel_mix_key", WIDTH, INNER);
            matrix("channel_mix_value", INNER, WIDTH);
        }
    }
}
