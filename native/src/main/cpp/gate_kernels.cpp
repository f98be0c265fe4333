#include "gate_kernels.h"

#include "simd.h"

#include <algorithm>

namespace llamafu {

namespace {

#if defined(__x86_64__)

namespace avx2 {

using namespace simd::avx2;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX2
#include "gate_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx2

namespace avx512 {

using namespace simd::avx512;

#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX512
#include "gate_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx512

#elif defined(__aarch64__)

namespace neon {

using namespace simd::neon;

#define LLAMAFU_TARGET LLAMAFU_TARGET_NEON
#include "gate_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace neon

#endif

} // namespace

GateKernel gate_kernel(CpuLevel level) {
    switch (level) {
#if defined(__x86_64__)
        case CpuLevel::avx512: return avx512::gate_values;
        case CpuLevel::avx2: return avx2::gate_values;
#elif defined(__aarch64__)
        case CpuLevel::neon: return neon::gate_values;
#endif
        default: GGML_ABORT("no gate kernel for this level");
    }
}

} // namespace llamafu
