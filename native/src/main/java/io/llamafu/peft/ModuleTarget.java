package io.llamafu.peft;

import static java.util.Objects.requireNonNull;

/**
 * The matrix of a base model that an adapted module becomes.
 *
 * @param layer counted from 0
 * @param place among the modules of a layer
 * @param tensor as GGUF calls it within its layer, such as {@code attn_q}
 * @param rotary whether its rows must be brought into the order of llama.cpp's rotation, see {@link RotaryRows}
 */
record ModuleTarget(int layer, int place, String tensor, boolean rotary) {
    ModuleTarget {
        requireNonNull(tensor, "tensor is null");
    }

    /** The name of the matrix in a GGUF file. */
    String name() {
        return "blk.%d.%s.weight".formatted(layer, tensor);
    }
}
