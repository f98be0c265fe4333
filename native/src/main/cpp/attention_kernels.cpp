#include "attention_kernels.h"

#include "simd.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llamafu {

namespace {

#if defined(__x86_64__)

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

#elif defined(__aarch64__)

namespace neon {

using namespace simd::neon;
constexpr int TILE = 4;
constexpr int SCORES = 4;
constexpr int VALUES = 4;

#define LLAMAFU_TARGET LLAMAFU_TARGET_NEON
#include "attention_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace neon

#endif

} // namespace

const AttentionKernels & attention_kernels(CpuLevel level) {
    switch (level) {
#if defined(__x86_64__)
        case CpuLevel::avx512: return avx512::kernels;
        case CpuLevel::avx2: return avx2::kernels;
#elif defined(__aarch64__)
        case CpuLevel::neon: return neon::kernels;
#endif
        default: GGML_ABORT("no attention kernels for this level");
    }
}

} // namespace llamafu
