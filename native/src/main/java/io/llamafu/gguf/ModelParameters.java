package io.llamafu.gguf;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The hyperparameters of a model, within the limits that llama.cpp v0.5.0 asserts ({@code
 * llama_model_base::load_hparams} and the graph builders).
 */
record ModelParameters(
        String architecture,
        int blockCount,
        int embeddingLength,
        int contextLength,
        int headCount,
        int keyValueHeadCount,
        ModelMemory memory) {

    /** {@code LLAMA_MAX_LAYERS}. */
    private static final int MAX_BLOCKS = 512;
    /** {@code LLAMA_MAX_EXPERTS}. */
    private static final int MAX_EXPERTS = 1024;

    private static final int MAX_LENGTH = 1 << 24;
    private static final int MAX_HEADS = 1 << 16;
    private static final Set<String> ROPE_SCALINGS = Set.of("none", "linear", "yarn", "longrope");
    /**
     * Architectures that do not generate each token from the tokens before it: encoders, whose llama.cpp graphs have no
     * memory and let every token see all others; models that denoise a whole text; drafts, which need another model's
     * context.
     */
    private static final Set<String> NO_DECODERS = Set.of(
            "bert",
            "modern-bert",
            "nomic-bert",
            "nomic-bert-moe",
            "neo-bert",
            "jina-bert-v2",
            "jina-bert-v3",
            "eurobert",
            "gemma-embedding",
            "llama-embed",
            "clip",
            "t5",
            "t5encoder",
            "wavtokenizer-dec",
            "dream",
            "llada",
            "llada-moe",
            "rnd1",
            "eagle3",
            "dflash",
            "gemma4-assistant");
    /** Architectures with a state in place of attention. */
    private static final Set<String> RECURRENT = Set.of("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7");
    /** llama.cpp divides by these, and by the heads of the first block. */
    private static final List<String> DIVISORS = List.of(
            "ssm.conv_kernel",
            "ssm.inner_size",
            "ssm.state_size",
            "ssm.time_step_rank",
            "wkv.head_size",
            "experts_per_group",
            "full_attention_interval",
            "attention.output_group_count");
    /** Architectures of which one block in four has attention and the others a state, whatever their heads say. */
    private static final Set<String> INTERVALS = Set.of("qwen3next", "qwen35", "qwen35moe");

    private static final int INTERVAL = 4;
    /** The kernel processes heads in blocks of this size, and beyond their end if they are not a multiple. */
    private static final int RWKV7_BLOCK = 64;

    private static final Set<String> RWKV7 = Set.of("rwkv7", "arwkv7");
    /** Architectures whose graphs assert that keys, values and rotations have the same width. */
    private static final Set<String> ONE_HEAD_WIDTH = Set.of(
            "llama",
            "llama4",
            "mistral3",
            "qwen2",
            "qwen2moe",
            "qwen3",
            "qwen3moe",
            "granite",
            "internlm2",
            "exaone",
            "olmo",
            "olmo2",
            "smollm3",
            "starcoder2");

    static ModelParameters read(GgufFile gguf) {
        return new Checker(gguf).read();
    }

    private static final class Checker {
        private final GgufFile gguf;
        private final String architecture;

        Checker(GgufFile gguf) {
            this.gguf = gguf;
            this.architecture = gguf.string("general.architecture");
        }

        ModelParameters read() {
            if (!architecture.matches("[a-z0-9_.-]{1,64}")) {
                throw gguf.invalid("has general.architecture '%s', which is no architecture of llama.cpp."
                        .formatted(architecture.length() > 64 ? architecture.substring(0, 64) : architecture));
            }
            if (NO_DECODERS.contains(architecture)
                    || !gguf.findFlag(key("attention.causal")).orElse(true)) {
                throw gguf.invalid(
                        "is a '%s' that does not generate each token from those before it; choose a decoder-only model."
                                .formatted(architecture));
            }
            int blockCount = required("block_count", 1, MAX_BLOCKS);
            int embeddingLength = required("embedding_length", 1, MAX_LENGTH);
            int contextLength = required("context_length", 1, Integer.MAX_VALUE);
            int drafting = optional("nextn_predict_layers", 0, blockCount - 1).orElse(0);
            Heads heads = readHeads(blockCount);
            checkHeadWidths(embeddingLength, heads);
            checkState(embeddingLength);
            checkExperts(blockCount);
            checkRopeScaling();
            checkEpsilon("attention.layer_norm_rms_epsilon");
            checkEpsilon("attention.layer_norm_epsilon");
            checkEpsilon("attention.group_norm_epsilon");
            optional("vocab_size", 1, Integer.MAX_VALUE);
            optional("feed_forward_length", 0, MAX_LENGTH, blockCount);
            return new ModelParameters(
                    architecture,
                    blockCount,
                    embeddingLength,
                    contextLength,
                    heads.queries(),
                    heads.keyValues(),
                    memory(blockCount - drafting, embeddingLength, heads));
        }

        /**
         * Attention heads.
         *
         * @param queries the maximum over all blocks
         * @param keyValues the maximum over all blocks
         * @param first query heads of the first block, from which llama.cpp computes the width of all
         * @param keyValuesOf by block
         */
        private record Heads(int queries, int keyValues, int first, List<Long> keyValuesOf) {}

        private Heads readHeads(int blockCount) {
            boolean required = !RECURRENT.contains(architecture);
            long[] queries = perBlock("attention.head_count", blockCount).orElseGet(() -> new long[blockCount]);
            if (required && queries[0] < 1) {
                throw gguf.invalid("has '%s' as %d in the first block, but it must be 1 or more."
                        .formatted(key("attention.head_count"), queries[0]));
            }
            long[] keyValues = perBlock("attention.head_count_kv", blockCount).orElse(queries);
            int mostQueries = 0;
            int mostKeyValues = 0;
            for (int block = 0; block < blockCount; block++) {
                checkHeads(block, queries[block], keyValues[block]);
                mostQueries = Math.max(mostQueries, (int) queries[block]);
                mostKeyValues = Math.max(mostKeyValues, (int) keyValues[block]);
            }
            return new Heads(
                    mostQueries,
                    mostKeyValues,
                    (int) queries[0],
                    Arrays.stream(keyValues).boxed().toList());
        }

        private void checkHeads(int block, long queries, long keyValues) {
            boolean inRange = queries >= 0 && queries <= MAX_HEADS && keyValues >= 0 && keyValues <= MAX_HEADS;
            if (!inRange || (keyValues > 0 && queries % keyValues != 0)) {
                throw gguf.invalid(
                        "has %d attention heads and %d key-value heads in block %d, but each must be 0 to %d and the first a multiple of the second."
                                .formatted(queries, keyValues, block, MAX_HEADS));
            }
        }

        private void checkHeadWidths(int embeddingLength, Heads heads) {
            if (heads.first() == 0) {
                return;
            }
            int keys = keyLength(embeddingLength, heads);
            int values = valueLength(embeddingLength, heads);
            int rotated = optional("rope.dimension_count", 2, MAX_LENGTH).orElse(keys);
            int windowKeys = optional("attention.key_length_swa", 1, MAX_LENGTH).orElse(keys);
            int windowRotated =
                    optional("rope.dimension_count_swa", 2, MAX_LENGTH).orElse(rotated);
            optional("attention.value_length_swa", 1, MAX_LENGTH);
            checkSections(keys);
            boolean different = keys != values || keys != rotated;
            if (rotated % 2 != 0 || (different && ONE_HEAD_WIDTH.contains(architecture))) {
                throw gguf.invalid(
                        "has attention heads with %d keys, %d values and %d rotated dimensions, which '%s' cannot have."
                                .formatted(keys, values, rotated, architecture));
            }
            if (rotated > keys || windowRotated > windowKeys || windowRotated % 2 != 0) {
                throw gguf.invalid(
                        "rotates %d of %d keys and %d of %d in a window, but must rotate an even part of them."
                                .formatted(rotated, keys, windowRotated, windowKeys));
            }
        }

        /** Checks the sections of multi-position rotations; llama.cpp divides by their sum. */
        private void checkSections(int keys) {
            String key = key("rope.dimension_sections");
            Optional<GgufValue.Array> array = gguf.findArray(key);
            if (array.isEmpty()) {
                return;
            }
            long[] sections = new long[4];
            if (array.get().count() <= sections.length) {
                GgufArrays.forEachInteger(gguf, key, (index, value) -> sections[(int) index] = value);
            }
            boolean countable = Arrays.stream(sections).allMatch(section -> section >= 0 && section <= keys);
            boolean used = sections[0] > 0 || sections[1] > 0 || sections[2] > 0;
            if (!countable || !used || Arrays.stream(sections).sum() > keys) {
                throw gguf.invalid("has %d sections %s of %d rotated keys, which do not fit."
                        .formatted(array.get().count(), Arrays.toString(sections), keys));
            }
        }

        private int keyLength(int embeddingLength, Heads heads) {
            return optional("attention.key_length", 1, MAX_LENGTH).orElse(Math.max(1, embeddingLength / heads.first()));
        }

        private int valueLength(int embeddingLength, Heads heads) {
            return optional("attention.value_length", 1, MAX_LENGTH)
                    .orElse(Math.max(1, embeddingLength / heads.first()));
        }

        private void checkState(int embeddingLength) {
            for (String divisor : DIVISORS) {
                optional(divisor, 1, MAX_LENGTH);
            }
            int inner = optional("ssm.inner_size", 1, MAX_LENGTH).orElse(0);
            int groups = optional("ssm.group_count", RECURRENT.contains(architecture) ? 0 : 1, MAX_LENGTH)
                    .orElse(1);
            boolean grouped = groups > 0 ? inner % groups == 0 : !architecture.equals("mamba2");
            if (!grouped) {
                throw gguf.invalid("has a state space of %d channels in %d groups, which does not divide evenly."
                        .formatted(inner, groups));
            }
            int headSize = optional("wkv.head_size", 1, MAX_LENGTH).orElse(1);
            if (embeddingLength % headSize != 0 || (RWKV7.contains(architecture) && headSize % RWKV7_BLOCK != 0)) {
                throw gguf.invalid("has an embedding of %d in heads of %d, which '%s' cannot have."
                        .formatted(embeddingLength, headSize, architecture));
            }
        }

        private ModelMemory memory(int blockCount, int embeddingLength, Heads heads) {
            long keyValues = 0;
            int withoutAttention = 0;
            long[] feedForward = perBlock(
                            "feed_forward_length", heads.keyValuesOf().size())
                    .orElseGet(() -> new long[heads.keyValuesOf().size()]);
            for (int block = 0; block < blockCount; block++) {
                long ofBlock = hasAttention(block) ? heads.keyValuesOf().get(block) : 0;
                keyValues += ofBlock;
                // in nemotron_h, a feed-forward network is a block of its own
                boolean network = architecture.startsWith("nemotron_h") && feedForward[block] > 0;
                withoutAttention += ofBlock == 0 && !network ? 1 : 0;
            }
            // values that are compressed together with the keys take no cells of their own
            boolean compressed =
                    optional("attention.key_length_mla", 0, MAX_LENGTH).orElse(0) > 0;
            long width = keyValues == 0
                    ? 0
                    : (long) keyLength(embeddingLength, heads) + (compressed ? 0 : valueLength(embeddingLength, heads));
            int states = architecture.equals("falcon-h1") ? blockCount : withoutAttention;
            return new ModelMemory(
                    keyValues * width * Short.BYTES, states * stateLength(embeddingLength) * Float.BYTES);
        }

        private boolean hasAttention(int block) {
            if (!INTERVALS.contains(architecture)) {
                return true;
            }
            int interval = optional("full_attention_interval", 1, MAX_LENGTH).orElse(INTERVAL);
            return (block + 1) % interval == 0;
        }

        /**
         * Elements that a sequence keeps in a block without attention, as {@code n_embd_r} and {@code n_embd_s} compute
         * them.
         */
        private long stateLength(long embeddingLength) {
            Optional<Integer> headSize = optional("wkv.head_size", 1, MAX_LENGTH);
            if (headSize.isPresent()) {
                return embeddingLength * (optional("token_shift_count", 0, 2).orElse(2) + headSize.get());
            }
            Optional<Integer> shortConvolution = optional("shortconv.l_cache", 1, MAX_LENGTH);
            if (shortConvolution.isPresent()) {
                return embeddingLength * (shortConvolution.get() - 1);
            }
            long inner = optional("ssm.inner_size", 1, MAX_LENGTH).orElse(0);
            long state = optional("ssm.state_size", 1, MAX_LENGTH).orElse(0);
            long groups = optional("ssm.group_count", 0, MAX_LENGTH).orElse(0);
            long kernel = optional("ssm.conv_kernel", 1, MAX_LENGTH).orElse(1);
            return (kernel - 1) * (inner + 2 * groups * state) + state * inner;
        }

        private void checkExperts(int blockCount) {
            int experts = optional("expert_count", 0, MAX_EXPERTS).orElse(0);
            int used = optional("expert_used_count", 0, experts, blockCount);
            if (experts > 0 && used < 1) {
                throw gguf.invalid("has %d experts, but '%s' is 0.".formatted(experts, key("expert_used_count")));
            }
            // without the widths, llama.cpp divides by the number that each block uses
            boolean widths = leastOfAnyBlock("expert_feed_forward_length", blockCount) > 0;
            if (experts > 0 && !widths && leastOfAnyBlock("expert_used_count", blockCount) < 1) {
                throw gguf.invalid("has %d experts, of which a block uses none, and no '%s'."
                        .formatted(experts, key("expert_feed_forward_length")));
            }
            int groups =
                    optional("expert_group_count", 0, Math.max(0, experts - 1)).orElse(0);
            int groupsUsed =
                    optional("expert_group_used_count", 0, Integer.MAX_VALUE).orElse(0);
            if (groups > 1 && (experts % groups != 0 || groupsUsed < 1 || groupsUsed >= groups)) {
                throw gguf.invalid("has %d experts in %d groups of which %d are used, which does not divide evenly."
                        .formatted(experts, groups, groupsUsed));
            }
        }

        private void checkRopeScaling() {
            Optional<String> scaling = gguf.findString(key("rope.scaling.type"));
            if (scaling.isPresent() && !ROPE_SCALINGS.contains(scaling.get())) {
                throw gguf.invalid("has '%s' as '%s', but it must be one of none, linear, yarn, longrope."
                        .formatted(key("rope.scaling.type"), scaling.get()));
            }
        }

        private void checkEpsilon(String name) {
            Optional<Double> epsilon = gguf.findFloat(key(name));
            if (epsilon.isPresent() && !(epsilon.get() >= 0 && epsilon.get() <= 1)) {
                throw gguf.invalid("has '%s' as %s, but it must be 0 to 1.".formatted(key(name), epsilon.get()));
            }
        }

        /** One value per block; the file has one for all, or an array. */
        private Optional<long[]> perBlock(String name, int blockCount) {
            String key = key(name);
            GgufValue value = gguf.metadata().get(key);
            if (value == null) {
                return Optional.empty();
            }
            long[] values = new long[blockCount];
            if (value instanceof GgufValue.Array array) {
                if (array.count() != blockCount) {
                    throw gguf.invalid(
                            "has %d values in '%s', but %d blocks.".formatted(array.count(), key, blockCount));
                }
                GgufArrays.forEachInteger(gguf, key, (index, element) -> values[(int) index] = element);
            } else {
                Arrays.fill(values, gguf.integer(key));
            }
            return Optional.of(values);
        }

        private int required(String name, int least, int most) {
            return optional(name, least, most)
                    .orElseThrow(() ->
                            gguf.invalid("has no '%s', which is required; convert it again with llama.cpp's tools."
                                    .formatted(key(name))));
        }

        private Optional<Integer> optional(String name, int least, int most) {
            return gguf.findInteger(key(name)).map(value -> inRange(name, value, least, most));
        }

        /** The maximum over all blocks; 0 if the key is absent. */
        private int optional(String name, int least, int most, int blockCount) {
            int greatest = 0;
            for (long value : perBlock(name, blockCount).orElse(new long[0])) {
                greatest = Math.max(greatest, inRange(name, value, least, most));
            }
            return greatest;
        }

        /** 0 if the key is absent. */
        private long leastOfAnyBlock(String name, int blockCount) {
            return perBlock(name, blockCount)
                    .map(values -> Arrays.stream(values).min().orElse(0))
                    .orElse(0L);
        }

        private int inRange(String name, long value, int least, int most) {
            if (value < least || value > most) {
                throw gguf.invalid("has '%s' as %d, but it must be %d to %d.".formatted(key(name), value, least, most));
            }
            return (int) value;
        }

        private String key(String name) {
            return architecture + "." + name;
        }
    }
}
