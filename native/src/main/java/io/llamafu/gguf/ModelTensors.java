package io.llamafu.gguf;

import java.util.EnumSet;
import java.util.Set;

/**
 * The tensor types that llama.cpp v0.5.0 can compute with on a CPU; other types end the process in the middle of a
 * decode.
 */
final class ModelTensors {
    private static final String EMBEDDINGS = "token_embd.weight";

    /** Types of intermediate results and plain numbers; no matrix multiplication accepts them as weights. */
    private static final Set<GgufTensorType> NO_WEIGHTS = EnumSet.of(
            GgufTensorType.Q8_1,
            GgufTensorType.Q8_K,
            GgufTensorType.I8,
            GgufTensorType.I16,
            GgufTensorType.I64,
            GgufTensorType.F64);

    private ModelTensors() {}

    static void check(GgufFile gguf) {
        GgufTensor embeddings = gguf.findTensor(EMBEDDINGS)
                .orElseThrow(() -> gguf.invalid(
                        "has no tensor '%s'; name the file with the language model's weights.".formatted(EMBEDDINGS)));
        if (embeddings.dimensions().size() != 2) {
            throw gguf.invalid("has '%s' as %s %s, but it must be a matrix of floating-point or quantized weights."
                    .formatted(EMBEDDINGS, embeddings.type(), embeddings.shape()));
        }
        gguf.tensors().values().forEach(tensor -> check(gguf, tensor));
    }

    private static void check(GgufFile gguf, GgufTensor tensor) {
        if (NO_WEIGHTS.contains(tensor.type()) || (tensor.type() == GgufTensorType.I32 && !isTable(tensor))) {
            throw gguf.invalid("has tensor '%s' in %s, which llama.cpp cannot compute with; quantize the model again."
                    .formatted(tensor.name(), tensor.type()));
        }
        if (isAddedOrMultiplied(tensor) && tensor.type() != GgufTensorType.F32) {
            throw gguf.invalid(
                    "has tensor '%s' in %s, but llama.cpp adds and multiplies only F32; quantize the model again."
                            .formatted(tensor.name(), tensor.type()));
        }
    }

    /** The only integer tensors are lookup tables, such as DeepSeek's experts by token. */
    private static boolean isTable(GgufTensor tensor) {
        return tensor.name().contains("tid2eid");
    }

    private static boolean isAddedOrMultiplied(GgufTensor tensor) {
        return tensor.name().endsWith("_norm.weight") || (tensor.name().endsWith(".bias") && tensor.rank() == 1);
    }
}
