package io.llamafu.testing;

import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
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
        model.eachBlock(block -> block.experts(ArchitectureWriter.INNER));
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
            block.vectors("ffn_gate_inp_shexp", ArchitectureWriter.WIDTH);
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
            ArchitectureWriter.Block block = model.block(index);
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            if (index == 3) {
                block.matrix("attn_q", ArchitectureWriter.WIDTH, 2 * ArchitectureWriter.HEADS * 32);
                block.matrix("attn_k", ArchitectureWriter.WIDTH, ArchitectureWriter.KEY_VALUE_HEADS * 32);
                block.matrix("attn_v", ArchitectureWriter.WIDTH, ArchitectureWriter.KEY_VALUE_HEADS * 32);
                block.matrix("attn_output", ArchitectureWriter.HEADS * 32, ArchitectureWriter.WIDTH);
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
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            block.norm("post_ffw_norm", ArchitectureWriter.WIDTH);
            gatedFeedForward(block);
        });
    }),
    /** Five of six layers have a window. */
    GEMMA3(Kind.WINDOW, 7, model -> {
        model.attention(32, 32);
        model.integer("attention.sliding_window", 32);
        model.eachBlock(block -> {
            block.headNorms(32);
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            block.norm("post_ffw_norm", ArchitectureWriter.WIDTH);
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
        model.random("per_layer_token_embd.weight", 1, 4 * each, ArchitectureWriter.VOCABULARY);
        model.random("per_layer_model_proj.weight", 1.0 / 8, ArchitectureWriter.WIDTH, 4 * each);
        model.norm("per_layer_proj_norm.weight", each);
        model.norm("rope_freqs.weight", 16);
        for (int index = 0; index < 4; index++) {
            ArchitectureWriter.Block block = model.block(index);
            int width = index % 2 == 0 ? 16 : 32;
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.projections(width, width);
            block.headNorms(width);
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            gatedFeedForward(block);
            block.norm("post_ffw_norm", ArchitectureWriter.WIDTH);
            block.matrix("inp_gate", ArchitectureWriter.WIDTH, each);
            block.matrix("proj", each, ArchitectureWriter.WIDTH);
            block.norm("post_norm", ArchitectureWriter.WIDTH);
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
            block.bias("attn_output", ArchitectureWriter.WIDTH);
            block.vectors("attn_sinks", ArchitectureWriter.HEADS);
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            block.expertMatrices(32);
            block.bias("ffn_gate_inp", ArchitectureWriter.EXPERTS);
            block.bias("ffn_gate_exps", 32, ArchitectureWriter.EXPERTS);
            block.bias("ffn_down_exps", ArchitectureWriter.WIDTH, ArchitectureWriter.EXPERTS);
            block.bias("ffn_up_exps", 32, ArchitectureWriter.EXPERTS);
        });
    }),
    PHI3(Kind.ATTENTION, model -> {
        model.heads();
        model.integer("rope.dimension_count", 16);
        model.integer("attention.sliding_window", 64);
        model.eachBlock(block -> {
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.matrix("attn_qkv", ArchitectureWriter.WIDTH, 128);
            block.matrix("attn_output", ArchitectureWriter.WIDTH, ArchitectureWriter.WIDTH);
            block.norm("ffn_norm", ArchitectureWriter.WIDTH);
            block.matrix("ffn_up", ArchitectureWriter.WIDTH, 2 * ArchitectureWriter.INNER);
            block.matrix("ffn_down", ArchitectureWriter.INNER, ArchitectureWriter.WIDTH);
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
            block.norm("attn_q_norm", ArchitectureWriter.WIDTH);
            block.norm("attn_k_norm", ArchitectureWriter.KEY_VALUE_HEADS * 16);
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            feedForward(block);
            block.norm("post_ffw_norm", ArchitectureWriter.WIDTH);
        });
    }),
    GLM4(Kind.ATTENTION, model -> {
        model.attention(16, 16);
        model.integer("rope.dimension_count", 8);
        model.eachBlock(block -> {
            block.norm("post_attention_norm", ArchitectureWriter.WIDTH);
            block.norm("ffn_norm", ArchitectureWriter.WIDTH);
            block.matrix("ffn_up", ArchitectureWriter.WIDTH, 2 * ArchitectureWriter.INNER);
            block.matrix("ffn_down", ArchitectureWriter.INNER, ArchitectureWriter.WIDTH);
            block.norm("post_ffw_norm", ArchitectureWriter.WIDTH);
        });
    }),
    /** Compressed keys and values; the first layer without experts. */
    DEEPSEEK2(Kind.ATTENTION, model -> {
        model.integer("attention.head_count", ArchitectureWriter.HEADS);
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
            ArchitectureWriter.Block block = model.block(index);
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.matrix("attn_q_a", ArchitectureWriter.WIDTH, 32);
            block.norm("attn_q_a_norm", 32);
            block.matrix("attn_q_b", 32, ArchitectureWriter.HEADS * 32);
            block.matrix("attn_kv_a_mqa", ArchitectureWriter.WIDTH, 48);
            block.norm("attn_kv_a_norm", 32);
            block.matrix("attn_k_b", 16, 32, ArchitectureWriter.HEADS);
            block.matrix("attn_v_b", 32, 16, ArchitectureWriter.HEADS);
            block.matrix("attn_output", ArchitectureWriter.HEADS * 16, ArchitectureWriter.WIDTH);
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
            block.constant("ffn_norm", 1, ArchitectureWriter.WIDTH); // without the suffix that others have
            feedForward(block);
        });
    }),
    /** A state space, attention and a feed-forward network, each in separate layers. */
    NEMOTRON_H("nemotron_h", Kind.RECURRENT, model -> {
        model.integer("attention.head_count", ArchitectureWriter.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.integers("feed_forward_length", 0, ArchitectureWriter.INNER, 0, 0);
        model.integer("attention.key_length", 16);
        model.integer("attention.value_length", 16);
        model.number("attention.layer_norm_epsilon", 1e-5f);
        model.stateSpace(64, 4, 2);
        for (int index = 0; index < 4; index++) {
            ArchitectureWriter.Block block = model.block(index);
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            if (index == 1) {
                block.matrix("ffn_down", ArchitectureWriter.INNER, ArchitectureWriter.WIDTH);
                block.matrix("ffn_up", ArchitectureWriter.WIDTH, ArchitectureWriter.INNER);
            } else if (index == 2) {
                block.projections(16, 16);
            } else {
                block.secondStateSpace(64, 4, 2);
            }
        }
    }),
    /** A state space or attention, and experts, in each layer. */
    GRANITE_HYBRID("granitehybrid", Kind.RECURRENT, model -> {
        model.integer("attention.head_count", ArchitectureWriter.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.stateSpace(2 * ArchitectureWriter.WIDTH, 4, 1);
        model.experts();
        model.integer("expert_shared_feed_forward_length", 48);
        model.number("logit_scale", 8);
        model.number("embedding_scale", 12);
        model.number("residual_scale", 0.22f);
        model.number("attention.scale", 0.25f);
        for (int index = 0; index < 4; index++) {
            ArchitectureWriter.Block block = model.block(index);
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            if (index == 2) {
                block.projections(16, 16);
            } else {
                block.secondStateSpace(2 * ArchitectureWriter.WIDTH, 4, 1);
            }
            block.experts(ArchitectureWriter.INNER);
            block.sharedExpert(48);
        }
    }),
    /** A short convolution or attention in each layer. */
    LFM2(Kind.RECURRENT, model -> {
        model.integer("attention.head_count", ArchitectureWriter.HEADS);
        model.integers("attention.head_count_kv", 0, 0, 2, 0);
        model.integer("shortconv.l_cache", 3);
        for (int index = 0; index < 4; index++) {
            ArchitectureWriter.Block block = model.block(index);
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            if (index == 2) {
                block.projections(16, 16);
                block.headNorms(16);
            } else {
                block.matrix("shortconv.conv", 3, ArchitectureWriter.WIDTH);
                block.matrix("shortconv.in_proj", ArchitectureWriter.WIDTH, 3 * ArchitectureWriter.WIDTH);
                block.matrix("shortconv.out_proj", ArchitectureWriter.WIDTH, ArchitectureWriter.WIDTH);
            }
            gatedFeedForward(block);
        }
    }),
    MAMBA(Kind.RECURRENT, model -> {
        model.stateSpace(2 * ArchitectureWriter.WIDTH, 4, 0);
        model.eachBlock(block -> {
            int inner = 2 * ArchitectureWriter.WIDTH;
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.matrix("ssm_in", ArchitectureWriter.WIDTH, 2 * inner);
            block.matrix("ssm_conv1d", ArchitectureWriter.KERNEL, inner);
            block.bias("ssm_conv1d", inner);
            block.matrix("ssm_x", inner, 4 + 2 * ArchitectureWriter.STATE);
            block.matrix("ssm_dt", 4, inner);
            block.bias("ssm_dt", inner);
            block.constant("ssm_a", -1, ArchitectureWriter.STATE, inner);
            block.constant("ssm_d", 1, inner);
            block.matrix("ssm_out", inner, ArchitectureWriter.WIDTH);
        });
    }),
    MAMBA2(Kind.RECURRENT, model -> {
        model.stateSpace(2 * ArchitectureWriter.WIDTH, 4, 2);
        model.eachBlock(block -> {
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.secondStateSpace(2 * ArchitectureWriter.WIDTH, 4, 2);
        });
    }),
    RWKV6(Kind.RECURRENT, model -> {
        model.rwkv(32);
        model.integer("time_mix_extra_dim", 8);
        model.integer("time_decay_extra_dim", 8);
        model.integer("rescale_every_n_layers", 2);
        model.eachBlock(block -> {
            block.rwkv();
            block.matrix("time_mix_w1", ArchitectureWriter.WIDTH, 40);
            block.matrix("time_mix_w2", 8, ArchitectureWriter.WIDTH, 5);
            block.vectors("time_mix_lerp_x", ArchitectureWriter.WIDTH, 1, 1);
            block.vectors("time_mix_lerp_fused", ArchitectureWriter.WIDTH, 1, 1, 5);
            block.vectors("time_mix_first", 32, ArchitectureWriter.WIDTH / 32);
            block.vectors("time_mix_decay", ArchitectureWriter.WIDTH);
            block.matrix("time_mix_decay_w1", ArchitectureWriter.WIDTH, 8);
            block.matrix("time_mix_decay_w2", 8, ArchitectureWriter.WIDTH);
            block.matrix("time_mix_gate", ArchitectureWriter.WIDTH, ArchitectureWriter.WIDTH);
            block.vectors("channel_mix_lerp_r", ArchitectureWriter.WIDTH, 1, 1);
            block.matrix("channel_mix_receptance", ArchitectureWriter.WIDTH, ArchitectureWriter.WIDTH);
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
                    block.vectors("time_mix_" + part + "0", ArchitectureWriter.WIDTH);
                }
                block.matrix("time_mix_" + part + "1", ArchitectureWriter.WIDTH, 8);
                block.matrix("time_mix_" + part + "2", 8, ArchitectureWriter.WIDTH);
            }
            block.vectors("time_mix_lerp_fused", ArchitectureWriter.WIDTH, 1, 1, 6);
            block.vectors("time_mix_k_k", ArchitectureWriter.WIDTH);
            block.vectors("time_mix_k_a", ArchitectureWriter.WIDTH);
            block.vectors("time_mix_r_k", ArchitectureWriter.WIDTH);
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
        model.norm("token_embd_norm.weight", ArchitectureWriter.WIDTH);
        model.eachBlock(block -> {
            block.norm("attn_norm", ArchitectureWriter.WIDTH);
            block.matrix("attn_qkv", ArchitectureWriter.WIDTH, 3 * ArchitectureWriter.WIDTH);
            block.matrix("attn_output", ArchitectureWriter.WIDTH, ArchitectureWriter.WIDTH);
            block.norm("ffn_norm", ArchitectureWriter.WIDTH);
            block.matrix("ffn_up", ArchitectureWriter.WIDTH, 2 * ArchitectureWriter.INNER);
            block.matrix("ffn_down", ArchitectureWriter.INNER, ArchitectureWriter.WIDTH);
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
    private final Consumer<ArchitectureWriter> content;

    ArchitectureModel(Kind kind, Consumer<ArchitectureWriter> content) {
        this(kind, 4, content);
    }

    ArchitectureModel(Kind kind, int blocks, Consumer<ArchitectureWriter> content) {
        this("", kind, blocks, content);
    }

    ArchitectureModel(String architecture, Kind kind, Consumer<ArchitectureWriter> content) {
        this(architecture, kind, 4, content);
    }

    ArchitectureModel(String architecture, Kind kind, int blocks, Consumer<ArchitectureWriter> content) {
        this.architecture = architecture.isEmpty() ? name().toLowerCase(Locale.ROOT) : architecture;
        this.kind = kind;
        this.blocks = blocks;
        this.content = content;
    }

    /** The token of byte 0; those of the others follow in order. */
    public static int firstByte() {
        return ArchitectureWriter.CONTROLS.size();
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

    /** The number of its layers. */
    int blocks() {
        return blocks;
    }

    Consumer<ArchitectureWriter> content() {
        return content;
    }

    /** Whether the file has no output matrix, so that the embeddings of tokens serve as one. */
    boolean isTied() {
        return switch (this) {
            case GEMMA, GEMMA2, GEMMA3, GEMMA4, COHERE2, SMOLLM3, LFM2 -> true;
            default -> false;
        };
    }

    /** The dimensions of its tensors by name, the row length first. */
    public Map<String, List<Long>> tensors() {
        return Collections.unmodifiableMap(new ArchitectureWriter(this, Optional.empty()).tensors);
    }

    /** The writer of the file. */
    public GgufWriter writer() {
        return new ArchitectureWriter(this, Optional.empty()).writer;
    }

    /** The file with the bytes as GPT-2 writes them for its vocabulary, and a pre-tokenizer that llama.cpp knows. */
    public GgufWriter writer(String preTokenizer) {
        return new ArchitectureWriter(this, Optional.of(preTokenizer)).writer;
    }

    public Path write(Path folder) throws IOException {
        Path path = folder.resolve(name().toLowerCase(Locale.ROOT) + ".gguf");
        writer().write(path);
        return path;
    }

    private static void gatedFeedForward(ArchitectureWriter.Block block) {
        block.norm("ffn_norm", ArchitectureWriter.WIDTH);
        feedForward(block);
    }

    private static void feedForward(ArchitectureWriter.Block block) {
        block.matrix("ffn_gate", ArchitectureWriter.WIDTH, ArchitectureWriter.INNER);
        block.matrix("ffn_up", ArchitectureWriter.WIDTH, ArchitectureWriter.INNER);
        block.matrix("ffn_down", ArchitectureWriter.INNER, ArchitectureWriter.WIDTH);
    }
}
