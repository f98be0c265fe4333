package io.llamafu.testing;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A tiny model with random weights for each family of architectures, with its particularities: separate head widths,
 * experts, sliding windows, recurrent states, layers that differ. Less than 2 MB each; every byte is a token.
 */
@SuppressWarnings("ImmutableEnumChecker") // its lambdas capture nothing
public enum ArchitectureModel {
    LLAMA(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    /** Head width twice the embedding width per head, as in Mistral Nemo. */
    MISTRAL("llama", Kind.ATTENTION, model -> {
        model.attention(32, 32);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    MIXTRAL("llama", Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.experts();
        model.eachBlock(block -> block.experts(Model.INNER));
    }),
    /** Positions beyond the original context are scaled, and so is attention there. */
    MISTRAL3(Kind.ATTENTION, model -> {
        model.attention(32, 32);
        model.text("rope.scaling.type", "yarn");
        model.number("rope.scaling.factor", 16);
        model.integer("rope.scaling.original_context_length", 128);
        model.number("attention.temperature_scale", 0.1f);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    QWEN2(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.eachBlock(block -> {
            block.bias("attn_q", 64);
            block.bias("attn_k", 32);
            block.bias("attn_v", 32);
            gatedFeedForward(block);
        });
    }),
    /** Experts for each token, and one for all. */
    QWEN2MOE(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.experts();
        model.integer("expert_feed_forward_length", 32);
        model.integer("expert_shared_feed_forward_length", 48);
        model.eachBlock(block -> {
            block.experts(32);
            block.sharedExpert(48);
            block.vectors("ffn_gate_inp_shexp", Model.WIDTH);
        });
    }),
    /** Head width twice the embedding width per head, as in Qwen3-0.6B. */
    QWEN3(Kind.ATTENTION, model -> {
        model.attention(32, 32);
        model.eachBlock(block -> {
            block.headNorms(32);
            gatedFeedForward(block);
        });
    }),
    QWEN3MOE(Kind.ATTENTION, model -> {
        model.attention(32, 32);
        model.experts();
        model.integer("expert_feed_forward_length", 32);
        model.eachBlock(block -> {
            block.headNorms(32);
            block.experts(32);
        });
    }),
    /** Three of four layers have a state that a gated delta rule changes, the others gated attention. */
    QWEN35(Kind.RECURRENT, model -> {
        model.heads();
        model.integer("attention.key_length", 32);
        model.integer("attention.value_length", 32);
        model.integer("rope.dimension_count", 16);
        model.integers("rope.dimension_sections", 3, 3, 2, 0);
        model.integer("full_attention_interval", 4);
        model.stateSpace(64, 4, 2);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            block.norm("attn_norm", Model.WIDTH);
            block.norm("post_attention_norm", Model.WIDTH);
            if (index == 3) {
                block.matrix("attn_q", Model.WIDTH, 2 * Model.HEADS * 32);
                block.matrix("attn_k", Model.WIDTH, Model.KEY_VALUE_HEADS * 32);
                block.matrix("attn_v", Model.WIDTH, Model.KEY_VALUE_HEADS * 32);
                block.matrix("attn_output", Model.HEADS * 32, Model.WIDTH);
                block.headNorms(32);
            } else {
                block.deltaRule(64, 4, 2);
            }
            feedForward(block);
        }
    }),
    GEMMA(Kind.ATTENTION, model -> {
        model.attention(32, 32);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    /** Every other layer has a window. */
    GEMMA2(Kind.WINDOW, model -> {
        model.attention(32, 32);
        model.integer("attention.sliding_window", 64);
        model.eachBlock(block -> {
            block.norm("post_attention_norm", Model.WIDTH);
            block.norm("post_ffw_norm", Model.WIDTH);
            gatedFeedForward(block);
        });
    }),
    /** Five of six layers have a window. */
    GEMMA3(Kind.WINDOW, 7, model -> {
        model.attention(32, 32);
        model.integer("attention.sliding_window", 32);
        model.eachBlock(block -> {
            block.headNorms(32);
            block.norm("post_attention_norm", Model.WIDTH);
            block.norm("post_ffw_norm", Model.WIDTH);
            gatedFeedForward(block);
        });
    }),
    /**
     * Every other layer has a window and narrower heads, the last two share keys and values with the first two, and each
     * layer gets an embedding of its own.
     */
    GEMMA4(Kind.WINDOW, model -> {
        int each = 16;
        model.heads();
        model.integer("attention.key_length", 32);
        model.integer("attention.value_length", 32);
        model.integer("attention.key_length_swa", 16);
        model.integer("attention.value_length_swa", 16);
        model.integer("rope.dimension_count", 32);
        model.integer("rope.dimension_count_swa", 16);
        model.integer("attention.sliding_window", 32);
        model.integers("attention.sliding_window_pattern", 1, 0, 1, 0);
        model.integer("attention.shared_kv_layers", 2);
        model.integer("embedding_length_per_layer_input", each);
        model.number("final_logit_softcapping", 30);
        model.random("per_layer_token_embd.weight", 1, 4 * each, Model.VOCABULARY);
        model.random("per_layer_model_proj.weight", 1.0 / 8, Model.WIDTH, 4 * each);
        model.norm("per_layer_proj_norm.weight", each);
        model.norm("rope_freqs.weight", 16);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            int width = index % 2 == 0 ? 16 : 32;
            block.norm("attn_norm", Model.WIDTH);
            block.projections(width, width);
            block.headNorms(width);
            block.norm("post_attention_norm", Model.WIDTH);
            gatedFeedForward(block);
            block.norm("post_ffw_norm", Model.WIDTH);
            block.matrix("inp_gate", Model.WIDTH, each);
            block.matrix("proj", each, Model.WIDTH);
            block.norm("post_norm", Model.WIDTH);
        }
    }),
    /** Three of four layers have a window; attention and feed-forward network side by side. */
    COHERE2(Kind.WINDOW, model -> {
        model.attention(16, 16);
        model.layerNorm();
        model.integer("attention.sliding_window", 32);
        model.number("logit_scale", 1);
        model.eachBlock(ArchitectureModel::feedForward);
    }),
    /** Every other layer has a window; experts and router have biases, and attention can go nowhere. */
    GPT_OSS("gpt-oss", Kind.WINDOW, model -> {
        model.attention(16, 16);
        model.integer("attention.sliding_window", 32);
        model.experts();
        model.integer("expert_feed_forward_length", 32);
        model.eachBlock(block -> {
            block.bias("attn_q", 64);
            block.bias("attn_k", 32);
            block.bias("attn_v", 32);
            block.bias("attn_output", Model.WIDTH);
            block.vectors("attn_sinks", Model.HEADS);
            block.norm("post_attention_norm", Model.WIDTH);
            block.expertMatrices(32);
            block.bias("ffn_gate_inp", Model.EXPERTS);
            block.bias("ffn_gate_exps", 32, Model.EXPERTS);
            block.bias("ffn_down_exps", Model.WIDTH, Model.EXPERTS);
            block.bias("ffn_up_exps", 32, Model.EXPERTS);
        });
    }),
    PHI3(Kind.ATTENTION, model -> {
        model.heads();
        model.integer("rope.dimension_count", 16);
        model.integer("attention.sliding_window", 64);
        model.eachBlock(block -> {
            block.norm("attn_norm", Model.WIDTH);
            block.matrix("attn_qkv", Model.WIDTH, 128);
            block.matrix("attn_output", Model.WIDTH, Model.WIDTH);
            block.norm("ffn_norm", Model.WIDTH);
            block.matrix("ffn_up", Model.WIDTH, 2 * Model.INNER);
            block.matrix("ffn_down", Model.INNER, Model.WIDTH);
        });
    }),
    GRANITE(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.number("logit_scale", 8);
        model.number("embedding_scale", 12);
        model.number("residual_scale", 0.22f);
        model.number("attention.scale", 0.25f);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    SMOLLM3(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    /** Norms behind attention and feed-forward network, none before them. */
    OLMO2(Kind.ATTENTION, model -> {
        model.heads();
        model.eachBlock(block -> {
            block.projections(16, 16);
            block.norm("attn_q_norm", Model.WIDTH);
            block.norm("attn_k_norm", Model.KEY_VALUE_HEADS * 16);
            block.norm("post_attention_norm", Model.WIDTH);
            feedForward(block);
            block.norm("post_ffw_norm", Model.WIDTH);
        });
    }),
    GLM4(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.integer("rope.dimension_count", 8);
        model.eachBlock(block -> {
            block.norm("post_attention_norm", Model.WIDTH);
            block.norm("ffn_norm", Model.WIDTH);
            block.matrix("ffn_up", Model.WIDTH, 2 * Model.INNER);
            block.matrix("ffn_down", Model.INNER, Model.WIDTH);
            block.norm("post_ffw_norm", Model.WIDTH);
        });
    }),
    /** Compressed keys and values; the first layer without experts. */
    DEEPSEEK2(Kind.ATTENTION, model -> {
        model.integer("attention.head_count", Model.HEADS);
        model.integer("attention.head_count_kv", 1);
        model.integer("attention.q_lora_rank", 32);
        model.integer("attention.kv_lora_rank", 32);
        model.integer("attention.key_length", 48);
        model.integer("attention.value_length", 32);
        model.integer("attention.key_length_mla", 32);
        model.integer("attention.value_length_mla", 16);
        model.integer("rope.dimension_count", 16);
        model.integer("leading_dense_block_count", 1);
        model.experts();
        model.integer("expert_feed_forward_length", 32);
        model.integer("expert_shared_count", 1);
        model.integer("expert_gating_func", 2);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            block.norm("attn_norm", Model.WIDTH);
            block.matrix("attn_q_a", Model.WIDTH, 32);
            block.norm("attn_q_a_norm", 32);
            block.matrix("attn_q_b", 32, Model.HEADS * 32);
            block.matrix("attn_kv_a_mqa", Model.WIDTH, 48);
            block.norm("attn_kv_a_norm", 32);
            block.matrix("attn_k_b", 16, 32, Model.HEADS);
            block.matrix("attn_v_b", 32, 16, Model.HEADS);
            block.matrix("attn_output", Model.HEADS * 16, Model.WIDTH);
            if (index == 0) {
                gatedFeedForward(block);
            } else {
                block.experts(32);
                block.sharedExpert(32);
            }
        }
    }),
    /** Attention and a state space in each layer. */
    FALCON_H1("falcon-h1", Kind.RECURRENT, model -> {
        model.attention(16, 16);
        model.stateSpace(64, 4, 1);
        model.eachBlock(block -> {
            block.secondStateSpace(64, 4, 1);
            block.constant("ffn_norm", 1, Model.WIDTH); // without the suffix that others have
            feedForward(block);
        });
    }),
    /** A state space, attention and a feed-forward network, each in separate layers. */
    NEMOTRON_H("nemotron_h", Kind.RECURRENT, model -> {
        model.integer("attention.head_count", Model.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.integers("feed_forward_length", 0, Model.INNER, 0, 0);
        model.integer("attention.key_length", 16);
        model.integer("attention.value_length", 16);
        model.number("attention.layer_norm_epsilon", 1e-5f);
        model.stateSpace(64, 4, 2);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            block.norm("attn_norm", Model.WIDTH);
            if (index == 1) {
                block.matrix("ffn_down", Model.INNER, Model.WIDTH);
                block.matrix("ffn_up", Model.WIDTH, Model.INNER);
            } else if (index == 2) {
                block.projections(16, 16);
            } else {
                block.secondStateSpace(64, 4, 2);
            }
        }
    }),
    /** A state space or attention, and experts, in each layer. */
    GRANITE_HYBRID("granitehybrid", Kind.RECURRENT, model -> {
        model.integer("attention.head_count", Model.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.stateSpace(2 * Model.WIDTH, 4, 1);
        model.experts();
        model.integer("expert_shared_feed_forward_length", 48);
        model.number("logit_scale", 8);
        model.number("embedding_scale", 12);
        model.number("residual_scale", 0.22f);
        model.number("attention.scale", 0.25f);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            block.norm("attn_norm", Model.WIDTH);
            if (index == 2) {
                block.projections(16, 16);
            } else {
                block.secondStateSpace(2 * Model.WIDTH, 4, 1);
            }
            block.experts(Model.INNER);
            block.sharedExpert(48);
        }
    }),
    /** A short convolution or attention in each layer. */
    LFM2(Kind.RECURRENT, model -> {
        model.integer("attention.head_count", Model.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.integer("shortconv.l_cache", 3);
        for (int index = 0; index < 4; index++) {
            Block block = model.block(index);
            block.norm("attn_norm", Model.WIDTH);
            if (index == 2) {
                block.projections(16, 16);
                block.headNorms(16);
            } else {
                block.matrix("shortconv.conv", 3, Model.WIDTH);
                block.matrix("shortconv.in_proj", Model.WIDTH, 3 * Model.WIDTH);
                block.matrix("shortconv.out_proj", Model.WIDTH, Model.WIDTH);
            }
            gatedFeedForward(block);
        }
    }),
    MAMBA(Kind.RECURRENT, model -> {
        model.stateSpace(2 * Model.WIDTH, 4, 0);
        model.eachBlock(block -> {
            int inner = 2 * Model.WIDTH;
            block.norm("attn_norm", Model.WIDTH);
            block.matrix("ssm_in", Model.WIDTH, 2 * inner);
            block.matrix("ssm_conv1d", Model.KERNEL, inner);
            block.bias("ssm_conv1d", inner);
            block.matrix("ssm_x", inner, 4 + 2 * Model.STATE);
            block.matrix("ssm_dt", 4, inner);
            block.bias("ssm_dt", inner);
            block.constant("ssm_a", -1, Model.STATE, inner);
            block.constant("ssm_d", 1, inner);
            block.matrix("ssm_out", inner, Model.WIDTH);
        });
    }),
    MAMBA2(Kind.RECURRENT, model -> {
        model.stateSpace(2 * Model.WIDTH, 4, 2);
        model.eachBlock(block -> {
            block.norm("attn_norm", Model.WIDTH);
            block.secondStateSpace(2 * Model.WIDTH, 4, 2);
        });
    }),
    RWKV6(Kind.RECURRENT, model -> {
        model.rwkv(32);
        model.integer("time_mix_extra_dim", 8);
        model.integer("time_decay_extra_dim", 8);
        model.integer("rescale_every_n_layers", 2);
        model.eachBlock(block -> {
            block.rwkv();
            block.matrix("time_mix_w1", Model.WIDTH, 40);
            block.matrix("time_mix_w2", 8, Model.WIDTH, 5);
            block.vectors("time_mix_lerp_x", Model.WIDTH, 1, 1);
            block.vectors("time_mix_lerp_fused", Model.WIDTH, 1, 1, 5);
            block.vectors("time_mix_first", 32, Model.WIDTH / 32);
            block.vectors("time_mix_decay", Model.WIDTH);
            block.matrix("time_mix_decay_w1", Model.WIDTH, 8);
            block.matrix("time_mix_decay_w2", 8, Model.WIDTH);
            block.matrix("time_mix_gate", Model.WIDTH, Model.WIDTH);
            block.vectors("channel_mix_lerp_r", Model.WIDTH, 1, 1);
            block.matrix("channel_mix_receptance", Model.WIDTH, Model.WIDTH);
        });
    }),
    RWKV7(Kind.RECURRENT, model -> {
        model.rwkv(64);
        model.integer("attention.decay_lora_rank", 8);
        model.integer("attention.iclr_lora_rank", 8);
        model.integer("attention.value_residual_mix_lora_rank", 8);
        model.integer("attention.gate_lora_rank", 8);
        model.eachBlock(block -> {
            block.rwkv();
            for (String part : List.of("w", "a", "v", "g")) {
                if (!part.equals("g")) {
                    block.vectors("time_mix_" + part + "0", Model.WIDTH);
                }
                block.matrix("time_mix_" + part + "1", Model.WIDTH, 8);
                block.matrix("time_mix_" + part + "2", 8, Model.WIDTH);
            }
            block.vectors("time_mix_lerp_fused", Model.WIDTH, 1, 1, 6);
            block.vectors("time_mix_k_k", Model.WIDTH);
            block.vectors("time_mix_k_a", Model.WIDTH);
            block.vectors("time_mix_r_k", Model.WIDTH);
        });
    }),
    /** An encoder: every token sees all others. */
    EUROBERT("eurobert", Kind.ENCODER, model -> {
        model.attention(16, 16);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    }),
    MODERN_BERT("modern-bert", Kind.ENCODER, model -> {
        model.heads();
        model.integer("attention.sliding_window", 64);
        model.number("attention.layer_norm_epsilon", 1e-5f);
        model.norm("token_embd_norm.weight", Model.WIDTH);
        model.eachBlock(block -> {
            block.norm("attn_norm", Model.WIDTH);
            block.matrix("attn_qkv", Model.WIDTH, 3 * Model.WIDTH);
            block.matrix("attn_output", Model.WIDTH, Model.WIDTH);
            block.norm("ffn_norm", Model.WIDTH);
            block.matrix("ffn_up", Model.WIDTH, 2 * Model.INNER);
            block.matrix("ffn_down", Model.INNER, Model.WIDTH);
        });
    }),
    /** A decoder's tensors, as an embedding model in which every token sees all others. */
    LLAMA_WITHOUT_ORDER("llama", Kind.ENCODER, model -> {
        model.attention(16, 16);
        model.flag("attention.causal", false);
        model.eachBlock(ArchitectureModel::gatedFeedForward);
    });

    /** Its memory of earlier tokens. */
    public enum Kind {
        /** Keys and values of all tokens. */
        ATTENTION,
        /** In some layers only a window, so a sequence cannot be cut. */
        WINDOW,
        /** A state of fixed size, possibly beside keys and values; it cannot be cut either. */
        RECURRENT,
        /** None, or it looks ahead: it cannot generate. */
        ENCODER
    }

    private final String architecture;
    private final Kind kind;
    private final int blocks;
    private final Consumer<Model> content;

    ArchitectureModel(Kind kind, Consumer<Model> content) {
        this(kind, 4, content);
    }

    ArchitectureModel(Kind kind, int blocks, Consumer<Model> content) {
        this("", kind, blocks, content);
    }

    ArchitectureModel(String architecture, Kind kind, Consumer<Model> content) {
        this(architecture, kind, 4, content);
    }

    ArchitectureModel(String architecture, Kind kind, int blocks, Consumer<Model> content) {
        this.architecture = architecture.isEmpty() ? name().toLowerCase(Locale.ROOT) : architecture;
        this.kind = kind;
        this.blocks = blocks;
        this.content = content;
    }

    /** The token of byte 0; those of the others follow in order. */
    public static int firstByte() {
        return Model.CONTROLS.size();
    }

    /** Those that can generate. */
    public static Stream<ArchitectureModel> decoders() {
        return Arrays.stream(values()).filter(model -> model.kind != Kind.ENCODER);
    }

    /** The value of {@code general.architecture}. */
    public String architecture() {
        return architecture;
    }

    public Kind kind() {
        return kind;
    }

    /** Whether the file has no output matrix, so that the embeddings of tokens serve as one. */
    private boolean isTied() {
        return switch (this) {
            case GEMMA, GEMMA2, GEMMA3, GEMMA4, COHERE2, SMOLLM3, LFM2 -> true;
            default -> false;
        };
    }

    /** The dimensions of its tensors by name, the row length first. */
    public Map<String, List<Long>> tensors() {
        return Collections.unmodifiableMap(new Model(this, Optional.empty()).tensors);
    }

    /** The writer of the file. */
    public GgufWriter writer() {
        return new Model(this, Optional.empty()).writer;
    }

    /** The file with the bytes as GPT-2 writes them for its vocabulary, and a pre-tokenizer that llama.cpp knows. */
    public GgufWriter writer(String preTokenizer) {
        return new Model(this, Optional.of(preTokenizer)).writer;
    }

    public Path write(Path folder) throws IOException {
        Path path = folder.resolve(name().toLowerCase(Locale.ROOT) + ".gguf");
        writer().write(path);
        return path;
    }

    private static void gatedFeedForward(Block block) {
        block.norm("ffn_norm", Model.WIDTH);
        feedForward(block);
    }

    private static void feedForward(Block block) {
        block.matrix("ffn_gate", Model.WIDTH, Model.INNER);
        block.matrix("ffn_up", Model.WIDTH, Model.INNER);
        block.matrix("ffn_down", Model.INNER, Model.WIDTH);
    }

    private static final class Model {
        static final int WIDTH = 64;
        static final int INNER = 96;
        static final int HEADS = 4;
        static final int KEY_VALUE_HEADS = 2;
        static final int STATE = 16;
        static final int KERNEL = 4;
        static final int EXPERTS = 4;
        private static final int CONTEXT = 2048;
        private static final int BYTES = 256;
        private static final List<String> CONTROLS = List.of("<unk>", "<s>", "</s>");
        static final int VOCABULARY = BYTES + 3;
        /** {@code LLAMA_TOKEN_TYPE_NORMAL}, {@code LLAMA_TOKEN_TYPE_CONTROL} and {@code LLAMA_TOKEN_TYPE_BYTE}. */
        private static final int NORMAL = 1;

        private static final int CONTROL = 3;

        private static final int BYTE = 6;

        private final String architecture;
        private final int blocks;
        private final GgufWriter writer = new GgufWriter();
        private final Map<String, List<Long>> tensors = new LinkedHashMap<>();
        private boolean hasRmsEpsilon = true;

        Model(ArchitectureModel model, Optional<String> preTokenizer) {
            this.architecture = model.architecture;
            this.blocks = model.blocks;
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
            norm(model == LFM2 ? "token_embd_norm.weight" : "output_norm.weight", WIDTH);
            model.content.accept(this);
            if (hasRmsEpsilon) {
                number("attention.layer_norm_rms_epsilon", 1e-5f);
            }
            if (model != NEMOTRON_H) {
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
            List<Long> lengths =
                    Arrays.stream(dimensions).asLongStream().boxed().toList();
            writer.tensor(name, GgufTensorType.F32, lengths, data);
            tensors.put(name, lengths);
        }

        private static int elements(int... dimensions) {
            return Arrays.stream(dimensions).reduce(1, (left, right) -> left * right);
        }
    }

    private record Block(Model model, String prefix) {
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
            matrix("attn_q", Model.WIDTH, Model.HEADS * keys);
            matrix("attn_k", Model.WIDTH, Model.KEY_VALUE_HEADS * keys);
            matrix("attn_v", Model.WIDTH, Model.KEY_VALUE_HEADS * values);
            matrix("attn_output", Model.HEADS * values, Model.WIDTH);
        }

        void experts(int inner) {
            norm("ffn_norm", Model.WIDTH);
            expertMatrices(inner);
        }

        void expertMatrices(int inner) {
            matrix("ffn_gate_inp", Model.WIDTH, Model.EXPERTS);
            matrix("ffn_gate_exps", Model.WIDTH, inner, Model.EXPERTS);
            matrix("ffn_down_exps", inner, Model.WIDTH, Model.EXPERTS);
            matrix("ffn_up_exps", Model.WIDTH, inner, Model.EXPERTS);
        }

        void sharedExpert(int inner) {
            matrix("ffn_gate_shexp", Model.WIDTH, inner);
            matrix("ffn_down_shexp", inner, Model.WIDTH);
            matrix("ffn_up_shexp", Model.WIDTH, inner);
        }

        /** The linear attention of Qwen 3.5. */
        void deltaRule(int inner, int heads, int groups) {
            int convolved = inner + 2 * groups * Model.STATE;
            matrix("attn_qkv", Model.WIDTH, convolved);
            matrix("attn_gate", Model.WIDTH, inner);
            matrix("ssm_conv1d", Model.KERNEL, convolved);
            bias("ssm_dt", heads);
            constant("ssm_a", -1, heads);
            matrix("ssm_beta", Model.WIDTH, heads);
            matrix("ssm_alpha", Model.WIDTH, heads);
            norm("ssm_norm", Model.STATE);
            matrix("ssm_out", inner, Model.WIDTH);
        }

        /** As in Mamba 2. */
        void secondStateSpace(int inner, int heads, int groups) {
            int convolved = inner + 2 * groups * Model.STATE;
            matrix("ssm_in", Model.WIDTH, inner + convolved + heads);
            matrix("ssm_conv1d", Model.KERNEL, convolved);
            bias("ssm_conv1d", convolved);
            bias("ssm_dt", heads);
            constant("ssm_a", -1, 1, heads);
            constant("ssm_d", 1, 1, heads);
            model.constant(prefix + "ssm_norm.weight", 1, inner / groups, groups);
            matrix("ssm_out", inner, Model.WIDTH);
        }

        void rwkv() {
            for (String norm : List.of("attn_norm", "attn_norm_2", "time_mix_ln")) {
                norm(norm, Model.WIDTH);
                constant(norm + ".bias", 0, Model.WIDTH);
            }
            for (String matrix : List.of("key", "value", "receptance", "output")) {
                matrix("time_mix_" + matrix, Model.WIDTH, Model.WIDTH);
            }
            vectors("channel_mix_lerp_k", Model.WIDTH, 1, 1);
            matrix("channel_mix_key", Model.WIDTH, Model.INNER);
            matrix("channel_mix_value", Model.INNER, Model.WIDTH);
        }
    }
}
