#pragma once

namespace llamafu {

/// Makes llama.cpp keep the weights that packed kernels can multiply in a buffer type of ours, which packs them as they are
/// loaded. Call it before the first model is loaded; it does nothing if the machine has no kernels.
///
/// Tensors that several experts share (mul_mat_id) and types without a packed format stay with llama.cpp.
void use_packed_weights();

/// While one exists, models that its thread loads are laid out as llama.cpp does it.
class PlainWeights {
public:
    PlainWeights();
    ~PlainWeights();

    PlainWeights(const PlainWeights &) = delete;
    PlainWeights & operator=(const PlainWeights &) = delete;
};

} // namespace llamafu
