#pragma once

#include "ggml-cpu/ggml-cpu-impl.h"
#include "ggml.h"

#include <cstddef>

namespace llamafu {

/// Products of activations with the experts that were chosen for them (mul_mat_id), whose matrices are packed one after
/// another.
size_t experts_work_bytes(const ggml_tensor * op, int threads);

void compute_experts(const ggml_compute_params * params, const ggml_tensor * op);

} // namespace llamafu
