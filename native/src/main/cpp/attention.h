#pragma once

#include "ggml-cpu/ggml-cpu-impl.h"
#include "ggml.h"

#include <cstddef>

namespace llamafu {

/// Whether we compute this node instead of ggml: attention to keys and values in F16, without sinks, soft cap or biases by
/// distance.
bool is_our_attention(const ggml_tensor * op);

size_t attention_work_bytes(const ggml_tensor * op, int threads);

void compute_attention(const ggml_compute_params * params, const ggml_tensor * op);

} // namespace llamafu
