#pragma once

#include "llama.h"

#include <array>
#include <cstdint>
#include <memory>

namespace llamafu {

/// Where to put a model's weights.
struct Placement {
    int32_t gpu_layers;
    int32_t gpu_device; ///< -1 for all
    bool map;           ///< whether host memory maps the file instead of copying it
    bool pack;          ///< whether weights are packed for our kernels
};

/// Throws INVALID_OPTION if a GPU is requested and there is none.
llama_model_params model_params(const Placement & placement);

/// The number of tokens of its vocabulary.
uint32_t vocabulary_of(const llama_model * model);

/// The sizes that a context's memory and compute buffers are allocated for.
struct ContextSize {
    uint32_t cells_per_sequence;
    uint32_t sequences;
    uint32_t batch;
    int32_t threads;
    uint32_t vocabulary; ///< tokens of the model
    bool in_order;       ///< whether the cells of a sequence must stay in the order of its tokens
};

/// How many rows of a step may have logits: one for each sequence, and some for sequences that score several tokens at once.
uint32_t most_outputs(const ContextSize & size);

llama_context_params context_params(const ContextSize & size);

struct FreeContext {
    void operator()(llama_context * context) const { llama_free(context); }
};
using ContextPointer = std::unique_ptr<llama_context, FreeContext>;

/// Bytes of weights, memory (key-value cache, recurrent states) and scratch.
std::array<int64_t, 3> memory_of(const llama_context * context);

} // namespace llamafu
