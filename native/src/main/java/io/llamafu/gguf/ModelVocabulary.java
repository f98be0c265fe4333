package io.llamafu.gguf;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Checks the vocabulary of a model for what {@code llama_vocab::impl::load} of llama.cpp v0.5.0 asserts: no two tokens
 * have the same text, byte tokens are written {@code <0xHH>}, and a beginning or end token that is to be added exists.
 * Token texts are compared by 64-bit hashes, so no texts are held.
 */
final class ModelVocabulary {
    private static final String MODEL = "tokenizer.ggml.model";
    private static final String TOKENS = "tokenizer.ggml.tokens";
    private static final String SCORES = "tokenizer.ggml.scores";
    private static final String TYPES = "tokenizer.ggml.token_type";
    private static final String MERGES = "tokenizer.ggml.merges";

    private static final byte[] EMPTY_PREFIX = "[EMPTY_".getBytes(StandardCharsets.US_ASCII);
    private static final long FNV_OFFSET = 0xcbf29ce484222325L;
    private static final int MAX_TOKENS = 1 << 20;
    private static final int MAX_TOKEN_BYTES = 64 * 1024;
    /** {@code LLAMA_TOKEN_TYPE_UNKNOWN}. */
    private static final long UNKNOWN_TYPE = 2;
    /** {@code LLAMA_TOKEN_TYPE_CONTROL}. */
    private static final long CONTROL_TYPE = 3;
    /** {@code LLAMA_TOKEN_TYPE_USER_DEFINED}. */
    private static final long USER_DEFINED_TYPE = 4;
    /** {@code LLAMA_TOKEN_TYPE_BYTE}. */
    private static final long BYTE_TYPE = 6;
    /** llama.cpp takes these for control tokens, whatever their type is. */
    private static final Set<String> CONTROL_NAMES = Set.of(
            "<|eot_id|>",
            "<|eom_id|>",
            "<|im_end|>",
            "<|end|>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<end_of_turn>",
            "<end_of_utterance>",
            "<EOT>",
            "_<EOT>",
            "[EOT]",
            "</s>",
            "<｜end▁of▁sentence｜>",
            "<|fim_prefix|>",
            "<|fim_suffix|>",
            "<|fim_middle|>",
            "<|fim_pad|>",
            "<|fim_repo|>",
            "<|repo_name|>",
            "<|file_sep|>",
            "<fim-prefix>",
            "<fim-suffix>",
            "<fim-middle>",
            "<fim-pad>",
            "<fim-repo>",
            "<fim_prefix>",
            "<fim_suffix>",
            "<fim_middle>",
            "<fim_pad>",
            "<reponame>",
            "<｜fim▁begin｜>",
            "<｜fim▁hole｜>",
            "<｜fim▁end｜>",
            "▁<PRE>",
            "▁<SUF>",
            "▁<MID>",
            "<PRE>",
            "<SUF>",
            "<MID>",
            "<PAD>",
            "<REPO>");

    /** The default beginning and end tokens of each tokenizer that can write text; -1 is none. */
    private static final Map<String, long[]> DEFAULT_SPECIALS = Map.of(
            "llama", new long[] {1, 2},
            "plamo2", new long[] {1, 2},
            "gpt2", new long[] {11, 11},
            "hybriddna", new long[] {11, 11},
            "whitespace", new long[] {11, 11},
            "gemma4", new long[] {-1, -1},
            "rwkv", new long[] {-1, -1});

    /** By the names in keys of GGUF. */
    private static final Map<String, String> NAMES_IN_TEMPLATES =
            Map.of("bos", "bos_token", "eos", "eos_token", "unknown", "unk_token", "padding", "pad_token");

    private final GgufFile gguf;

    private ModelVocabulary(GgufFile gguf) {
        this.gguf = gguf;
    }

    /** Returns the number of tokens. */
    static int check(GgufFile gguf) {
        return new ModelVocabulary(gguf).check();
    }

    private int check() {
        String tokenizer = gguf.string(MODEL);
        long[] specials = DEFAULT_SPECIALS.get(tokenizer);
        if (specials == null) {
            throw gguf.invalid("has the tokenizer '%s', which cannot write text here; use a generative model."
                    .formatted(tokenizer));
        }
        int count = tokenCount();
        checkLength(SCORES, count, GgufValueType.FLOAT32, GgufValueType.INT32);
        checkLength(TYPES, count, GgufValueType.INT32);
        Optional<GgufValue.Array> merges = gguf.findArray(MERGES);
        if (merges.isPresent() && merges.get().elementType() != GgufValueType.STRING) {
            throw gguf.invalid("has %s elements in '%s', but they must be strings."
                    .formatted(merges.get().elementType(), MERGES));
        }
        checkTokens(count);
        checkSpecial("bos", tokenizer.equals("llama"), specials[0], count);
        if (tokenizer.equals("gemma4")) {
            requireSpecial("bos", specials[0], count);
        }
        checkSpecial("eos", false, specials[1], count);
        return count;
    }

    /** Bytes of the longest token. */
    static int longestToken(GgufFile gguf) {
        int[] longest = {1};
        GgufArrays.forEachString(
                gguf, TOKENS, MAX_TOKEN_BYTES, (index, bytes, length) -> longest[0] = Math.max(longest[0], length));
        return longest[0];
    }

    /** Patch 0006 of llama.cpp calls the same tokens control tokens. */
    static Map<String, Integer> controlTokens(GgufFile gguf) {
        BitSet control = new BitSet();
        BitSet userDefined = new BitSet();
        if (gguf.findArray(TYPES).isPresent()) {
            GgufArrays.forEachInteger(gguf, TYPES, (index, type) -> {
                control.set((int) index, type == CONTROL_TYPE || type == UNKNOWN_TYPE);
                userDefined.set((int) index, type == USER_DEFINED_TYPE);
            });
        }
        Map<String, Integer> tokens = new HashMap<>();
        GgufArrays.forEachString(gguf, TOKENS, MAX_TOKEN_BYTES, (index, bytes, length) -> {
            String text = new String(bytes, 0, length, StandardCharsets.UTF_8);
            if (control.get((int) index)
                    || CONTROL_NAMES.contains(text)
                    || (userDefined.get((int) index) && isMarker(text))) {
                tokens.put(text, (int) index);
            }
        });
        return tokens;
    }

    /** Whether a token is written like a control token, as are the roles of DeepSeek, which are user-defined tokens. */
    private static boolean isMarker(String text) {
        return ((text.startsWith("<") && text.endsWith(">")) || (text.startsWith("[") && text.endsWith("]")))
                && (text.indexOf('|') >= 0 || text.indexOf('｜') >= 0);
    }

    static int special(GgufFile gguf, String name) {
        long[] defaults = DEFAULT_SPECIALS.get(gguf.string(MODEL));
        return Math.toIntExact(
                gguf.findInteger("tokenizer.ggml." + name + "_token_id").orElse(defaults[name.equals("bos") ? 0 : 1]));
    }

    /** The texts of the special tokens by their names in chat templates. */
    static Map<String, String> specialTokens(GgufFile gguf) {
        long[] defaults = DEFAULT_SPECIALS.getOrDefault(gguf.string(MODEL), new long[] {-1, -1});
        Map<Long, List<String>> names = new HashMap<>();
        NAMES_IN_TEMPLATES.forEach((special, name) -> {
            long byDefault = special.equals("bos") ? defaults[0] : special.equals("eos") ? defaults[1] : -1;
            long id = gguf.findInteger("tokenizer.ggml.%s_token_id".formatted(special))
                    .orElse(byDefault);
            names.computeIfAbsent(id, unused -> new ArrayList<>()).add(name);
        });
        Map<String, String> texts = new HashMap<>();
        GgufArrays.forEachString(gguf, TOKENS, MAX_TOKEN_BYTES, (index, bytes, length) -> {
            for (String name : names.getOrDefault(index, List.of())) {
                texts.put(name, new String(bytes, 0, length, StandardCharsets.UTF_8));
            }
        });
        return texts;
    }

    private int tokenCount() {
        GgufValue.Array tokens = gguf.array(TOKENS);
        if (tokens.count() < 1 || tokens.count() > MAX_TOKENS) {
            throw gguf.invalid("has %d tokens, but 1 to %d are accepted.".formatted(tokens.count(), MAX_TOKENS));
        }
        return (int) tokens.count();
    }

    private void checkLength(String key, int count, GgufValueType... types) {
        Optional<GgufValue.Array> array = gguf.findArray(key);
        if (array.isEmpty()) {
            return;
        }
        if (array.get().count() < count
                || !Arrays.asList(types).contains(array.get().elementType())) {
            throw gguf.invalid("has %d %s elements in '%s', but needs one of %s for each of %d tokens."
                    .formatted(array.get().count(), array.get().elementType(), key, Arrays.toString(types), count));
        }
    }

    private void checkTokens(int count) {
        long[] hashes = new long[count];
        BitSet byteTokens = new BitSet(count);
        GgufArrays.forEachString(gguf, TOKENS, MAX_TOKEN_BYTES, (index, bytes, length) -> {
            hashes[(int) index] = hash(index, bytes, length);
            byteTokens.set((int) index, isByteToken(bytes, length));
        });
        Arrays.sort(hashes);
        for (int index = 1; index < count; index++) {
            if (hashes[index] == hashes[index - 1]) {
                throw gguf.invalid("has two tokens with the same text in '%s'; convert it again with llama.cpp's tools."
                        .formatted(TOKENS));
            }
        }
        if (gguf.findArray(TYPES).isPresent() && !gguf.string(MODEL).equals("gpt2")) {
            checkByteTokens(byteTokens, count);
        }
    }

    private void checkByteTokens(BitSet byteTokens, int count) {
        GgufArrays.forEachInteger(gguf, TYPES, (index, type) -> {
            if (index < count && type == BYTE_TYPE && !byteTokens.get((int) index)) {
                throw gguf.invalid("has token %d as a byte, but its text is not of the form <0xHH>.".formatted(index));
            }
        });
    }

    private static boolean isByteToken(byte[] bytes, int length) {
        return length == 6
                && bytes[0] == '<'
                && bytes[1] == '0'
                && bytes[2] == 'x'
                && Character.digit(bytes[3], 16) >= 0
                && Character.digit(bytes[4], 16) >= 0
                && bytes[5] == '>';
    }

    /** FNV-1a of the text as llama.cpp sees it: up to the first NUL, and {@code [EMPTY_index]} for the empty text. */
    private static long hash(long index, byte[] bytes, int length) {
        int end = 0;
        while (end < length && bytes[end] != 0) {
            end++;
        }
        return end == 0 ? hashOfEmpty(index) : fnv(FNV_OFFSET, bytes, end);
    }

    /** The hash of {@code [EMPTY_index]}. */
    private static long hashOfEmpty(long index) {
        long hash = fnv(FNV_OFFSET, EMPTY_PREFIX, EMPTY_PREFIX.length);
        long divisor = 1;
        while (index / divisor >= 10) {
            divisor *= 10;
        }
        for (; divisor > 0; divisor /= 10) {
            hash = fnv(hash, '0' + index / divisor % 10);
        }
        return fnv(hash, ']');
    }

    private static long fnv(long hash, byte[] bytes, int length) {
        long result = hash;
        for (int index = 0; index < length; index++) {
            result = fnv(result, bytes[index] & 0xff);
        }
        return result;
    }

    private static long fnv(long hash, long character) {
        return (hash ^ character) * 0x100000001b3L;
    }

    private void checkSpecial(String name, boolean addedByDefault, long defaultId, int count) {
        if (gguf.findFlag("tokenizer.ggml.add_" + name + "_token").orElse(addedByDefault)) {
            requireSpecial(name, defaultId, count);
        }
    }

    private void requireSpecial(String name, long defaultId, int count) {
        String key = "tokenizer.ggml." + name + "_token_id";
        long id = gguf.findInteger(key).orElse(defaultId);
        if (id < 0 || id >= count) {
            throw gguf.invalid(
                    "adds a %s token to each text, but '%s' is %d of %d tokens.".formatted(name, key, id, count));
        }
    }
}
