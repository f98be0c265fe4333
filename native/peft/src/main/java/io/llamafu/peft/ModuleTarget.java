package io.llamafu.peft;

import static java.util.Objects.requireNonNull;

/**
 * The matrix of the base model that belongs to an adapted module.
 *
 * @param layer from 0
 * @param place position among the modules of a layer
 * @param tensor GGUF name within the layer, such as {@code attn_q}
 * @param rotary whether its rows must be reordered for llama.cpp's rotation, see {@link RotaryRows}
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
