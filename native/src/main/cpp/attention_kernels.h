#pragma once

#include "lora_kernels.h"

#include <cstddef>
#include <cstdint>

namespace llamafu {

/// Heads of queries at some positions of one sequence, and the heads of keys and values that they share: the first few queries'
/// heads the first one, and so on. Strides are in bytes.
struct AttentionTask {
    const char * q; // F32; first position of the first head
    size_t q_head;
    size_t q_row;
    const char * k; // F16
    size_t k_head;
    size_t k_row;
    const char * v; // F16
    size_t v_head;
    size_t v_row;
    const char * mask; // F16, added to the products of a position with each cell; null for none
    size_t mask_row;
    float * out; // F32
    size_t out_head;
    size_t out_row;
    int64_t heads;     // of queries
    int64_t key_heads; // of keys and values
    int64_t rows;      // positions
    int64_t cells;
    int64_t key_size;   // floats of a key, a multiple of 16
    int64_t value_size; // floats of a value, a multiple of 16
    float scale;
};

struct AttentionKernels {
    /// Floats of scratch memory that a task with so many heads times rows needs.
    size_t (*scratch)(int64_t rows, int64_t key_size, int64_t value_size);

    /// Softmax-weighted sums of values. What a position gets depends on its query, its mask and the cells, whatever the
    /// level and the other positions: cells that are masked for it change no bit.
    void (*attend)(const AttentionTask & task, float * scratch);
};

/// The kernels of a level other than `plain`, which this machine must support.
const AttentionKernels & attention_kernels(CpuLevel level);

} // namespace llamafu
