package io.llamafu.peft;

import static java.util.Objects.requireNonNull;

/**
 * An adapted matrix, checked against the base.
 *
 * @param target the matrix of the base
 * @param a rank x inputs
 * @param b outputs x rank
 * @param factorOfB corrects the scale of this module for the single alpha of a GGUF adapter; 1 without patterns
 */
record LoraModule(ModuleTarget target, SafetensorsTensor a, SafetensorsTensor b, double factorOfB) {
    LoraModule {
        requireNonNull(target, "target is null");
        requireNonNull(a, "a is null");
        requireNonNull(b, "b is null");
    }
}
