package io.llamafu.adapter;

import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufTensor;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The two matrices of an adapter that change one tensor of the base: {@code delta = scale * B (A x)}.
 *
 * @param target name of the base tensor
 * @param a {@code TARGET.lora_a}: input width x rank; for token embeddings rank x vocabulary
 * @param b {@code TARGET.lora_b}: rank x output width
 */
record LoraPair(String target, Optional<GgufTensor> a, Optional<GgufTensor> b) {
    private static final String SUFFIX_A = ".lora_a";
    private static final String SUFFIX_B = ".lora_b";

    /** The pairs of an adapter by target, in file order. Tensors with other names are left out. */
    static Map<String, LoraPair> of(GgufFile adapter) {
        Map<String, LoraPair> pairs = new LinkedHashMap<>();
        for (GgufTensor tensor : adapter.tensors().values()) {
            if (isPart(tensor)) {
                String target = tensor.name().substring(0, tensor.name().length() - SUFFIX_A.length());
                LoraPair known = pairs.getOrDefault(target, new LoraPair(target, Optional.empty(), Optional.empty()));
                pairs.put(target, known.with(tensor));
            }
        }
        return pairs;
    }

    static boolean isPart(GgufTensor tensor) {
        return tensor.name().endsWith(SUFFIX_A) || tensor.name().endsWith(SUFFIX_B);
    }

    private LoraPair with(GgufTensor tensor) {
        return tensor.name().endsWith(SUFFIX_A)
                ? new LoraPair(target, Optional.of(tensor), b)
                : new LoraPair(target, a, Optional.of(tensor));
    }

    String nameOfA() {
        return target + SUFFIX_A;
    }

    String nameOfB() {
        return target + SUFFIX_B;
    }

    /** Token embeddings look up a row of A instead of multiplying by it, so their A is transposed. */
    boolean isEmbedding() {
        return target.endsWith("token_embd.weight");
    }

    /** The rank that llama.cpp uses for the scale: the row length of B. */
    Optional<Long> rank() {
        return b.map(tensor -> tensor.dimension(0));
    }
}
