#include "gate_kernels.h"

#include "simd.h"

#include <algorithm>

namespace llamafu {

#if defined(__x86_64__)

namespace {

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

} // namespace

GateKernel gate_kernel(CpuLevel level) {
    switch (level) {
        case CpuLevel::avx512: return avx512::gate_values;
        case CpuLevel::avx2: return avx2::gate_values;
        case CpuLevel::plain: break;
    }
    GGML_ABORT("no gate kernel for this level");
}

#else

GateKernel gate_kernel(CpuLevel) {
    GGML_ABORT("no gate kernel for this machine");
}

#endif

} // namespace llamafu
