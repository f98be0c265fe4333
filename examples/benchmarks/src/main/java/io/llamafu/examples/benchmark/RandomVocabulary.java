package io.llamafu.examples.benchmark;

import io.llamafu.gguf.GgufWriter;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A SentencePiece vocabulary in which every ordinary token is one character and no two merge, so that a text of N
 * characters has N tokens in every engine.
 */
final class RandomVocabulary {
    /** Its logit is 0 in every model, so greedy decoding never chooses it. */
    static final int END_TOKEN = 2;

    private static final int FIRST_BYTE_TOKEN = 3;
    private static final int FIRST_CHARACTER_TOKEN = FIRST_BYTE_TOKEN + 256;

    private static final int HAN_START = 0x4E00;
    private static final int HAN_COUNT = 0xA000 - HAN_START;
    private static final int HANGUL_START = 0xAC00;

    // llama_token_type
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int BYTE = 6;

    private RandomVocabulary() {}

    static void addTo(GgufWriter writer, int size) {
        List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
        int[] types = new int[size];
        Arrays.fill(types, NORMAL);
        types[0] = UNKNOWN;
        types[1] = CONTROL;
        types[END_TOKEN] = CONTROL;
        for (int value = 0; value < 256; value++) {
            types[tokens.size()] = BYTE;
            tokens.add("<0x%02X>".formatted(value));
        }
        while (tokens.size() < size) {
            tokens.add(Character.toString(characterOf(tokens.size())));
        }
        writer.string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", tokens)
                .float32s("tokenizer.ggml.scores", new float[size])
                .int32s("tokenizer.ggml.token_type", types)
                .uint32("tokenizer.ggml.bos_token_id", 1)
                .uint32("tokenizer.ggml.eos_token_id", END_TOKEN)
                .uint32("tokenizer.ggml.unknown_token_id", 0)
                .bool("tokenizer.ggml.add_bos_token", true)
                .bool("tokenizer.ggml.add_space_prefix", false);
    }

    private static int characterOf(int token) {
        int index = token - FIRST_CHARACTER_TOKEN;
        return index < HAN_COUNT ? HAN_START + index : HANGUL_START + index - HAN_COUNT;
    }

    /** The text of ordinary tokens. */
    static String text(int... tokens) {
        StringBuilder text = new StringBuilder();
        for (int token : tokens) {
            text.appendCodePoint(characterOf(token));
        }
        return text.toString();
    }

    /** A text of this many tokens, including the one that begins each sequence. */
    static String prompt(int tokens, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        StringBuilder text = new StringBuilder();
        for (int index = 1; index < tokens; index++) {
            text.appendCodePoint(characterOf(random.nextInt(FIRST_CHARACTER_TOKEN, RandomModel.VOCABULARY_SIZE)));
        }
        return text.toString();
    }
}
