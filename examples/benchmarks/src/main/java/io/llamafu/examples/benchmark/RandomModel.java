package io.llamafu.examples.benchmark;

import io.llamafu.gguf.GgufTensorType;

import java.util.ArrayList;
import java.util.List;

/** The random llama models, with the shapes of SmolLM 135M (and a separate output matrix) and TinyLlama 1.1B. */
enum RandomModel {
    SMALL("135M", 576, 30, 9, 3, 1536, GgufTensorType.Q8_0),
    LARGE("1.1B", 2048, 22, 32, 4, 5632, GgufTensorType.Q4_0),
    /** In the mixture of types that llama.cpp calls Q4_K_M: some matrices of some layers are in Q6_K. */
    LARGE_MIXED("1.1B-Q4_K_M", 2048, 22, 32, 4, 5632, GgufTensorType.Q4_K) {
        @Override
        GgufTensorType type(String matrix) {
            return matrix.equals("output.weight") || isPrecise(matrix) ? GgufTensorType.Q6_K : super.type(matrix);
        }

        /** Values and the last product of the first and the last eighth of the layers, and of every third one between. */
        private boolean isPrecise(String matrix) {
            if (!matrix.endsWith("attn_v.weight") && !matrix.endsWith("ffn_down.weight")) {
                return false;
            }
            int block = Integer.parseInt(matrix.split("\\.", 3)[1]);
            int eighth = blockCount() / 8;
            return block < eighth || block >= 7 * blockCount() / 8 || (block - eighth) % 3 == 2;
        }
    };

    static final int VOCABULARY_SIZE = 32_000;
    static final int CONTEXT_LENGTH = 4096;

    private final String title;
    private final int embeddingLength;
    private final int blockCount;
    private final int headCount;
    private final int keyValueHeadCount;
    private final int feedForwardLength;
    private final GgufTensorType type;

    RandomModel(
            String title,
            int embeddingLength,
            int blockCount,
            int headCount,
            int keyValueHeadCount,
            int feedForwardLength,
            GgufTensorType type) {
        this.title = title;
        this.embeddingLength = embeddingLength;
        this.blockCount = blockCount;
        this.headCount = headCount;
        this.keyValueHeadCount = keyValueHeadCount;
        this.feedForwardLength = feedForwardLength;
        this.type = type;
    }

    /** A weight that LoRA can adapt: {@code rows} rows of {@code columns} elements. */
    record Projection(String name, int columns, int rows) {}

    /** All seven matrices of every layer. */
    List<Projection> projections() {
        int keyValueLength = embeddingLength / headCount * keyValueHeadCount;
        List<Projection> projections = new ArrayList<>();
        for (int block = 0; block < blockCount; block++) {
            String prefix = "blk.%d.".formatted(block);
            projections.add(new Projection(prefix + "attn_q.weight", embeddingLength, embeddingLength));
            projections.add(new Projection(prefix + "attn_k.weight", embeddingLength, keyValueLength));
            projections.add(new Projection(prefix + "attn_v.weight", embeddingLength, keyValueLength));
            projections.add(new Projection(prefix + "attn_output.weight", embeddingLength, embeddingLength));
            projections.add(new Projection(prefix + "ffn_gate.weight", embeddingLength, feedForwardLength));
            projections.add(new Projection(prefix + "ffn_up.weight", embeddingLength, feedForwardLength));
            projections.add(new Projection(prefix + "ffn_down.weight", feedForwardLength, embeddingLength));
        }
        return projections;
    }

    /** Bytes of a half-precision adapter on all projections. */
    long adapterBytes(int rank) {
        return projections().stream()
                .mapToLong(projection -> (long) Short.BYTES * rank * (projection.columns() + projection.rows()))
                .sum();
    }

    /** The value of the option {@code --model}. */
    static RandomModel ofTitle(String title) {
        for (RandomModel model : values()) {
            if (model.title.equalsIgnoreCase(title)) {
                return model;
            }
        }
        throw new IllegalArgumentException("the models are 135M, 1.1B and 1.1B-Q4_K_M");
    }

    String title() {
        return title;
    }

    int embeddingLength() {
        return embeddingLength;
    }

    int blockCount() {
        return blockCount;
    }

    int headCount() {
        return headCount;
    }

    int keyValueHeadCount() {
        return keyValueHeadCount;
    }

    int feedForwardLength() {
        return feedForwardLength;
    }

    /** Of a matrix. */
    GgufTensorType type(String matrix) {
        return type;
    }

    @Override
    public String toString() {
        return title;
    }
}
