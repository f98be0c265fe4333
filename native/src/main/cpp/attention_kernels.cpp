#include "attention_kernels.h"

#include "simd.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llamafu {

#if defined(__x86_64__)

namespace {

namespace avx2 {

using namespace simd::avx2;
constexpr int TILE = 4;
constexpr int SCORES = 2;
constexpr int VALUES = 2;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX2
#include "attention_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx2

namespace avx512 {

using namespace simd::avx512;
constexpr int TILE = 6;
constexpr int SCORES = 2;
constexpr int VALUES = 4;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX512
#include "attention_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx512

} // namespace

const AttentionKernels & attention_kernels(CpuLevel level) {
    switch (level) {
        case CpuLevel::avx512: return avx512::kernels;
        case CpuLevel::avx2: return avx2::kernels;
        case CpuLevel::plain: break;
    }
    GGML_ABORT("no attention kernels for this level");
}

#else

const AttentionKernels & attention_kernels(CpuLevel) {
    GGML_ABORT("no attention kernels for this machine");
}

#endif

} // namespace llamafu
