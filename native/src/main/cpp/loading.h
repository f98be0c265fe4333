#pragma once

#include "llama.h"

#include <array>
#include <cstdint>

namespace llamafu {

/// Where to put a model's weights.
struct Placement {
    int32_t gpu_layers;
    int32_t gpu_device; ///< -1 for all
    bool map;           ///< whether host memory is the mapped file, rather than a copy of it
};

/// Throws INVALID_OPTION if a GPU is requested and there is none.
llama_model_params model_params(const Placement & placement);

/// The sizes that a context's memory and compute buffers are allocated for.
struct ContextSize {
    uint32_t cells_per_sequence;
    uint32_t sequences;
    uint32_t batch;
    int32_t threads;
};

llama_context_params context_params(const ContextSize & size);

/// Bytes of weights, memory (key-value cache, recurrent states) and scratch.
std::array<int64_t, 3> memory_of(const llama_context * context);

} // namespace llamafu
