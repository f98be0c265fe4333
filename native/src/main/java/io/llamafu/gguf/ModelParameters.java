package io.llamafu.gguf;

import java.util.Arrays;
import java.util.Optional;
import java.util.Set;

/**
 * The hyperparameters of a model, within the bounds that llama.cpp v0.5.0 asserts ({@code llama_model_base::load_hparams}
 * and the graph builders).
 */
record ModelParameters(
        String architecture,
        int blockCount,
        int embeddingLength,
        int contextLength,
        int headCount,
        int keyValueHeadCount) {

    /** {@code LLAMA_MAX_LAYERS}. */
    private static final int MAX_BLOCKS = 512;
    /** {@code LLAMA_MAX_EXPERTS}. */
    private static final int MAX_EXPERTS = 1024;

    private static final int MAX_LENGTH = 1 << 24;
    private static final int MAX_HEADS = 1 << 16;
    private static final Set<String> ROPE_SCALINGS = Set.of("none", "linear", "yarn", "longrope");
    /** Their graphs assert that keys, values and rotations have the same width. */
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
            int blockCount = required("block_count", 1, MAX_BLOCKS);
            int embeddingLength = required("embedding_length", 1, MAX_LENGTH);
            int contextLength = required("context_length", 1, Integer.MAX_VALUE);
            optional("nextn_predict_layers", 0, blockCount - 1);
            Heads heads = readHeads(blockCount);
            checkHeadWidths(embeddingLength, heads);
            checkExperts(blockCount);
            checkRopeScaling();
            checkEpsilon("attention.layer_norm_rms_epsilon");
            checkEpsilon("attention.layer_norm_epsilon");
            checkEpsilon("attention.group_norm_epsilon");
            optional("vocab_size", 1, Integer.MAX_VALUE);
            optional("feed_forward_length", 0, MAX_LENGTH, blockCount);
            return new ModelParameters(
                    architecture, blockCount, embeddingLength, contextLength, heads.queries(), heads.keyValues());
        }

        private record Heads(int queries, int keyValues) {}

        private Heads readHeads(int blockCount) {
            long[] queries = perBlock("attention.head_count", blockCount)
                    .orElseThrow(() ->
                            gguf.invalid("has no '%s', which is required.".formatted(key("attention.head_count"))));
            long[] keyValues = perBlock("attention.head_count_kv", blockCount).orElse(queries);
            int mostQueries = 0;
            int mostKeyValues = 0;
            for (int block = 0; block < blockCount; block++) {
                checkHeads(block, queries[block], keyValues[block]);
                mostQueries = Math.max(mostQueries, (int) queries[block]);
                mostKeyValues = Math.max(mostKeyValues, (int) keyValues[block]);
            }
            return new Heads(mostQueries, mostKeyValues);
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
            if (heads.queries() == 0) {
                return;
            }
            int width = Math.max(1, embeddingLength / heads.queries());
            int keys = optional("attention.key_length", 1, MAX_LENGTH).orElse(width);
            int values = optional("attention.value_length", 1, MAX_LENGTH).orElse(width);
            int rotated = optional("rope.dimension_count", 0, MAX_LENGTH).orElse(keys);
            boolean different = keys != values || keys != rotated;
            if (rotated % 2 != 0 || (different && ONE_HEAD_WIDTH.contains(architecture))) {
                throw gguf.invalid(
                        "has attention heads with %d keys, %d values and %d rotated dimensions, which '%s' cannot have."
                                .formatted(keys, values, rotated, architecture));
            }
        }

        private void checkExperts(int blockCount) {
            int experts = optional("expert_count", 0, MAX_EXPERTS).orElse(0);
            int used = optional("expert_used_count", 0, experts, blockCount);
            if (experts > 0 && used < 1) {
                throw gguf.invalid("has %d experts, but '%s' is 0.".formatted(experts, key("expert_used_count")));
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

        /** A value for each block: the file has one for all, or an array. */
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

        /** The greatest value of any block; 0 if the key is absent. */
        private int optional(String name, int least, int most, int blockCount) {
            int greatest = 0;
            for (long value : perBlock(name, blockCount).orElse(new long[0])) {
                greatest = Math.max(greatest, inRange(name, value, least, most));
            }
            return greatest;
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
