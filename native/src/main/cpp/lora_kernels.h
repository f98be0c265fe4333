#pragma once

#include "ggml.h"

#include <cstddef>
#include <cstdint>

namespace llamafu {

/// Instruction sets the kernels are compiled for; `plain` is portable vector code (SSE2).
enum class CpuLevel { plain, neon, avx2, avx512 };

/// A LoRA factor as ggml lays it out: `rows` rows of `columns` weights each.
struct Matrix {
    const uint8_t * data = nullptr;
    ggml_type type = GGML_TYPE_F32;
    int64_t columns = 0;
    int64_t rows = 0;
    size_t row_bytes = 0;
    bool interleaved = false; // see is_interleaved()
    ptrdiff_t next = 0; // bytes from `data` to the matrix that is read after this one, which the kernels prefetch
};

/// Rows of an interleaved matrix lie in panels of 16; the last may have fewer.
constexpr int64_t interleaved_rows = 16;

/// Rows of an activation matrix that share an adapter, and the scale each applies to it.
struct Rows {
    char * data;
    size_t stride; // bytes from one row of the matrix to the next
    const int32_t * index;
    const float * scales;
    int64_t count;

    float * row(int64_t i) const { return reinterpret_cast<float *>(data + index[i] * stride); }
};

/// Those of every level but `plain` give the same bits.
struct LoraKernels {
    /// t[i][j] = scales[i] * factor * (row j of a) . (row i of x), for first <= j < last; t has a.rows columns.
    void (*project)(const Matrix & a, float factor, const Rows & x, float * t, int64_t first, int64_t last);

    /// (row i of y)[o] += (row o of b) . t[i], for first <= o < last; t has b.columns columns.
    void (*expand)(const Matrix & b, const float * t, const Rows & y, int64_t first, int64_t last);

    /// t[j] = scale * (row `row` of a)[j], for every column j.
    void (*lookup)(const Matrix & a, int64_t row, float scale, float * t);
};

/// True for the weight types that the kernels read: F32, F16, BF16 and Q8_0.
bool lora_kernels_read(ggml_type type);

/// Whether this machine supports a level.
bool has_cpu_level(CpuLevel level);

/// The best level that this machine supports.
CpuLevel best_cpu_level();

/// The kernels of a level, which this machine must support.
const LoraKernels & lora_kernels(CpuLevel level);

} // namespace llamafu
