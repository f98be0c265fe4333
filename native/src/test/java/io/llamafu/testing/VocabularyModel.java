package io.llamafu.testing;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A tiny model with random weights for each kind of tokenizer. Its vocabulary has the control strings of many families, and
 * all that a tokenizer needs to put one together out of characters: every beginning of a control string is a token, and
 * merges lead from each to the next.
 */
public enum VocabularyModel {
    SENTENCE_PIECE("llama", ""),
    /** Blanks after a control token belong to it, as in Phi-3. */
    SENTENCE_PIECE_OF_PHI("llama", ""),
    GPT_2("gpt2", "gpt-2"),
    /** Words that are tokens are not split. */
    LLAMA_3("gpt2", "llama-bpe"),
    QWEN("gpt2", "qwen2"),
    TEKKEN("gpt2", "tekken"),
    GEMMA_4("gemma4", ""),
    WHITESPACE("whitespace", ""),
    HYBRID_DNA("hybriddna", ""),
    RWKV("rwkv", ""),
    PLAMO("plamo2", "");

    /** Of Llama 2 and Mistral, ChatML, Llama 3, Gemma, Phi, Mistral v3 and v7, Granite, DeepSeek, gpt-oss, CodeLlama, and more. */
    public static final List<String> CONTROLS = List.of(
            "<unk>",
            "<s>",
            "</s>",
            "<|im_start|>",
            "<|im_end|>",
            "<|endoftext|>",
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
            "<|eom_id|>",
            "<|python_tag|>",
            "<bos>",
            "<eos>",
            "<pad>",
            "<start_of_turn>",
            "<end_of_turn>",
            "<unused0>",
            "<|user|>",
            "<|assistant|>",
            "<|system|>",
            "<|tool|>",
            "[INST]",
            "[/INST]",
            "[SYSTEM_PROMPT]",
            "[/SYSTEM_PROMPT]",
            "[AVAILABLE_TOOLS]",
            "[TOOL_CALLS]",
            "[TOOL_RESULTS]",
            "<|start_of_role|>",
            "<|end_of_role|>",
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<|return|>",
            "<|call|>",
            "<|fim_prefix|>",
            "▁<PRE>",
            "▁<MID>",
            "<dna>",
            "</dna>",
            "<oov>",
            "<|END_OF_TURN_TOKEN|>",
            "<|plamo:eos|>",
            "[gMASK]",
            "]~b]");

    /** Roles that their vocabularies call user-defined, or that llama.cpp turns into such tokens. */
    public static final List<String> USER_DEFINED_CONTROLS = List.of(
            "<｜User｜>",
            "<｜Assistant｜>",
            "<|turn>",
            "[|user|]",
            "<|start|>",
            "<|message|>",
            "<|channel|>",
            "<|constrain|>",
            "<|end|>");

    /** Not control tokens: every text may have them. */
    public static final List<String> USER_DEFINED = List.of("<table>", "<b>", "\n\n\n", "<think>", "::");

    private static final int NORMAL_TYPE = 1;
    private static final int UNKNOWN_TYPE = 2;
    private static final int CONTROL_TYPE = 3;
    private static final int USER_DEFINED_TYPE = 4;
    private static final int BYTE_TYPE = 6;
    private static final int WIDTH = 32;
    private static final int BYTES = 256;
    private static final String BLANK = "▁";

    private final String tokenizer;
    private final String preTokenizer;

    VocabularyModel(String tokenizer, String preTokenizer) {
        this.tokenizer = tokenizer;
        this.preTokenizer = preTokenizer;
    }

    /** All control strings. */
    public static List<String> controlStrings() {
        return Stream.concat(CONTROLS.stream(), USER_DEFINED_CONTROLS.stream()).toList();
    }

    /** The ids of all control tokens: they come first. */
    public static int controlCount() {
        return CONTROLS.size() + USER_DEFINED_CONTROLS.size();
    }

    public Path write(Path folder) throws IOException {
        Map<String, Integer> types = vocabulary();
        List<String> tokens = new ArrayList<>(types.keySet());
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", "llama")
                .string("general.name", this == SENTENCE_PIECE_OF_PHI ? "Phi-3 of nobody" : "nobody")
                .uint32("llama.block_count", 1)
                .uint32("llama.context_length", 4096)
                .uint32("llama.embedding_length", WIDTH)
                .uint32("llama.feed_forward_length", WIDTH)
                .uint32("llama.attention.head_count", 2)
                .uint32("llama.attention.head_count_kv", 2)
                .float32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
                .string("tokenizer.ggml.model", tokenizer)
                .strings("tokenizer.ggml.tokens", tokens)
                .int32s(
                        "tokenizer.ggml.token_type",
                        types.values().stream().mapToInt(type -> type).toArray())
                .float32s("tokenizer.ggml.scores", scores(tokens))
                .uint32("tokenizer.ggml.bos_token_id", 1)
                .uint32("tokenizer.ggml.eos_token_id", 2)
                .bool("tokenizer.ggml.add_bos_token", true);
        if (!preTokenizer.isEmpty()) {
            writer.string("tokenizer.ggml.pre", preTokenizer);
        }
        if (hasMerges()) {
            writer.strings("tokenizer.ggml.merges", merges());
        }
        writer.tensor(
                "token_embd.weight",
                GgufTensorType.F32,
                List.of((long) WIDTH, (long) tokens.size()),
                GgufTensorData.random(GgufTensorType.F32, (long) WIDTH * tokens.size(), 1, 1));
        addBlock(writer);
        Path path = folder.resolve(name().toLowerCase(Locale.ROOT) + ".gguf");
        writer.write(path);
        return path;
    }

    private static void addBlock(GgufWriter writer) {
        for (String norm : List.of("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")) {
            writer.tensor(
                    norm + ".weight",
                    GgufTensorType.F32,
                    List.of((long) WIDTH),
                    GgufTensorData.constant(GgufTensorType.F32, WIDTH, 1));
        }
        for (String matrix : List.of("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")) {
            writer.tensor(
                    "blk.0." + matrix + ".weight",
                    GgufTensorType.F32,
                    List.of((long) WIDTH, (long) WIDTH),
                    GgufTensorData.random(GgufTensorType.F32, (long) WIDTH * WIDTH, matrix.hashCode(), 0.2));
        }
    }

    private boolean hasMerges() {
        return switch (this) {
            case GPT_2, LLAMA_3, QWEN, TEKKEN, GEMMA_4, WHITESPACE, HYBRID_DNA -> true;
            case SENTENCE_PIECE, SENTENCE_PIECE_OF_PHI, RWKV, PLAMO -> false;
        };
    }

    /** Whether texts are split into bytes, each written as one character. */
    private boolean writesBytes() {
        return hasMerges() && this != GEMMA_4;
    }

    private Map<String, Integer> vocabulary() {
        Map<String, Integer> types = new LinkedHashMap<>();
        CONTROLS.forEach(control -> types.put(control, CONTROL_TYPE));
        types.put("<unk>", UNKNOWN_TYPE);
        USER_DEFINED_CONTROLS.forEach(control -> types.put(control, USER_DEFINED_TYPE));
        USER_DEFINED.forEach(token -> types.put(written(token), USER_DEFINED_TYPE));
        for (int value = 0; value < BYTES; value++) {
            types.putIfAbsent(byteToken(value), writesBytes() || this == RWKV ? NORMAL_TYPE : BYTE_TYPE);
        }
        normalTokens().forEach(token -> types.putIfAbsent(token, NORMAL_TYPE));
        return types;
    }

    /** A user-defined token stands in the text as it is; RWKV escapes. */
    private String written(String token) {
        return this == RWKV ? token.replace("\n", "\\n") : token;
    }

    private String byteToken(int value) {
        if (writesBytes()) {
            return gpt2Character(value);
        }
        if (this == RWKV) {
            return value > ' ' && value < 0x7F && value != '\\'
                    ? Character.toString(value)
                    : String.format(Locale.ROOT, "\\x%02x", value);
        }
        return String.format(Locale.ROOT, "<0x%02X>", value);
    }

    /** GPT-2 writes each byte as a character that can be printed. */
    private static String gpt2Character(int value) {
        int other = BYTES;
        for (int before = 0; before < value; before++) {
            other += isPrinted(before) ? 0 : 1;
        }
        return Character.toString(isPrinted(value) ? value : other);
    }

    private static boolean isPrinted(int value) {
        return (value > ' ' && value <= '~') || (value > 0xA0 && value != 0xAD);
    }

    private Set<String> normalTokens() {
        Set<String> tokens = new LinkedHashSet<>();
        for (String control : controlStrings()) {
            if (!writesBytes() || control.chars().allMatch(c -> c < 0x80)) {
                tokens.addAll(prefixes(control));
            }
        }
        String blank = writesBytes() ? gpt2Character(' ') : this == RWKV ? " " : BLANK;
        for (char first = 'a'; first <= 'z'; first++) {
            tokens.add(blank + first);
            for (char second = 'a'; second <= 'z'; second++) {
                tokens.add("" + first + second);
            }
        }
        tokens.add(blank + blank);
        return tokens;
    }

    /** All but the whole, the shortest first. */
    private static List<String> prefixes(String text) {
        List<String> prefixes = new ArrayList<>();
        for (int end = 1; end < text.length(); end++) {
            prefixes.add(text.substring(0, end));
        }
        return prefixes;
    }

    /** Longer tokens are merged later, control tokens before all others. */
    private static float[] scores(List<String> tokens) {
        float[] scores = new float[tokens.size()];
        for (int i = controlCount(); i < scores.length; i++) {
            scores[i] = -tokens.get(i).length();
        }
        return scores;
    }

    private List<String> merges() {
        Set<String> merges = new LinkedHashSet<>();
        for (String control : controlStrings()) {
            for (int end = 1; end < control.length(); end++) {
                merges.add(control.substring(0, end) + " " + control.charAt(end));
            }
        }
        String blank = writesBytes() ? gpt2Character(' ') : BLANK;
        for (char first = 'a'; first <= 'z'; first++) {
            merges.add(blank + " " + first);
            for (char second = 'a'; second <= 'z'; second++) {
                merges.add(first + " " + second);
            }
        }
        return List.copyOf(merges);
    }
}
