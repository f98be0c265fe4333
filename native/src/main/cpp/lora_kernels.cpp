#include "lora_kernels.h"

#include "simd.h"

#include <algorithm>

namespace llamafu {

namespace {

/// ggml's Q8_0: 32 weights with a common F16 scale.
struct BlockQ8 {
    static constexpr int64_t size = 32;
    ggml_fp16_t scale;
    int8_t values[size];
};
static_assert(sizeof(BlockQ8) == 34, "Q8_0 blocks are packed");

/// The panel of an interleaved matrix that has a row, and where the row's columns are in it.
struct Panel {
    const uint8_t * data;
    int64_t rows;
    int64_t offset;

    Panel(const Matrix & matrix, int64_t row)
        : data(matrix.data + row / interleaved_rows * interleaved_rows * matrix.row_bytes),
          rows(std::min(interleaved_rows, matrix.rows - row / interleaved_rows * interleaved_rows)), offset(row % interleaved_rows) {}

    int64_t position(int64_t column) const { return column * rows + offset; }
};

namespace plain {

using namespace simd::plain;
constexpr int X_ROWS = 2;

#define LLAMAFU_TARGET LLAMAFU_TARGET_PLAIN
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace plain

#if defined(__x86_64__)

namespace avx2 {

using namespace simd::avx2;
constexpr int X_ROWS = 2;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX2
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx2

namespace avx512 {

using namespace simd::avx512;
constexpr int X_ROWS = 4;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX512
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx512

#elif defined(__aarch64__)

namespace neon {

using namespace simd::neon;
constexpr int X_ROWS = 4;

#define LLAMAFU_TARGET LLAMAFU_TARGET_NEON
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace neon

#endif

} // namespace

bool lora_kernels_read(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
}

bool has_cpu_level(CpuLevel level) {
    switch (level) {
        case CpuLevel::plain: return true;
#if defined(__x86_64__)
        case CpuLevel::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        case CpuLevel::avx512: return __builtin_cpu_supports("avx512f");
#elif defined(__aarch64__)
        case CpuLevel::neon: return true;
#endif
        default: return false;
    }
}

CpuLevel best_cpu_level() {
    for (CpuLevel level : { CpuLevel::avx512, CpuLevel::avx2, CpuLevel::neon }) {
        if (has_cpu_level(level)) {
            return level;
        }
    }
    return CpuLevel::plain;
}

const LoraKernels & lora_kernels(CpuLevel level) {
    switch (level) {
        case CpuLevel::plain: return plain::kernels;
#if defined(__x86_64__)
        case CpuLevel::avx2: return avx2::kernels;
        case CpuLevel::avx512: return avx512::kernels;
#elif defined(__aarch64__)
        case CpuLevel::neon: return neon::kernels;
#endif
        default: GGML_ABORT("no LoRA kernels for this level");
    }
}

} // namespace llamafu
