#pragma once

#include "ggml.h"

#include <string>

namespace llamafu {

/// Makes llama.cpp keep the weights that packed kernels can multiply in a buffer type of ours, which packs them as they are
/// loaded. Call it before the first model is loaded; it does nothing if the machine has no kernels.
///
/// Types without a packed format stay with llama.cpp.
void use_packed_weights();

/// Marks the products that find their activations quantized by the product before: those of keys and values after queries, and
/// of inputs after gates. In a graph with packed weights it also marks norms, which are then ours. Call it for each graph,
/// each time before it is computed.
void mark_nodes(const ggml_cgraph * graph);

bool is_marked(const ggml_tensor * node);

/// Whether a node is a product of packed weights with rows of activations, which may have a ProductDelta.
bool is_packed_product(const ggml_tensor * node);

/// Why a row of a graph could have other bits in another batch; empty if it has not. Nodes that compute each row by itself,
/// whatever the other rows are, and products and attention of ours have a fixed order.
std::string batch_dependence(ggml_cgraph * graph);

/// While one exists, models that its thread loads are laid out as llama.cpp does it.
class PlainWeights {
public:
    PlainWeights();
    ~PlainWeights();

    PlainWeights(const PlainWeights &) = delete;
    PlainWeights & operator=(const PlainWeights &) = delete;
};

} // namespace llamafu
