#pragma once

#include "lora_kernels.h"

#include <cstdint>

namespace llamafu {

/// y[i] = x[i] / (1 + exp(-x[i])) * gate[i], with the same bits for every level. y may be x or gate.
using GateKernel = void (*)(int64_t count, const float * x, const float * gate, float * y);

/// The kernel of a level other than `plain`, which this machine must support.
GateKernel gate_kernel(CpuLevel level);

} // namespace llamafu
