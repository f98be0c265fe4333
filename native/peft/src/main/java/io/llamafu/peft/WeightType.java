package io.llamafu.peft;

import io.llamafu.gguf.GgufTensorType;

/** How a converted adapter stores its weights. */
public enum WeightType {
    /** Half the size; magnitudes up to 65,504, rounded to 11 bits. */
    F16(GgufTensorType.F16),
    /** As exact as the input. */
    F32(GgufTensorType.F32);

    /** From here on, a float rounds to infinity in half precision. */
    private static final float FLOAT16_OVERFLOW = 65_520;

    private final GgufTensorType tensorType;

    WeightType(GgufTensorType tensorType) {
        this.tensorType = tensorType;
    }

    GgufTensorType tensorType() {
        return tensorType;
    }

    /** Whether a finite number stays finite. */
    boolean holds(float value) {
        return this == F32 || Math.abs(value) < FLOAT16_OVERFLOW;
    }
}
