#include "lora_kernels.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace llamafu {

namespace {

/// ggml's Q8_0: 32 weights with a common F16 scale.
struct BlockQ8 {
    static constexpr int64_t size = 32;
    ggml_fp16_t scale;
    int8_t values[size];
};
static_assert(sizeof(BlockQ8) == 34, "Q8_0 blocks are packed");

namespace plain {

#define LLAMAFU_TARGET
#define LLAMAFU_INLINE inline __attribute__((always_inline))

constexpr int W = 4;
constexpr int X_ROWS = 2;
using V = float __attribute__((vector_size(16)));
using Bits = uint32_t __attribute__((vector_size(16)));

LLAMAFU_INLINE V load(const float * p) { return V { p[0], p[1], p[2], p[3] }; }
LLAMAFU_INLINE void store(float * p, V v) { std::copy_n(reinterpret_cast<const float *>(&v), W, p); }
LLAMAFU_INLINE V broadcast(float f) { return V { f, f, f, f }; }
LLAMAFU_INLINE V fma(V a, V b, V c) { return a * b + c; }
LLAMAFU_INLINE float sum(V v) { return (v[0] + v[1]) + (v[2] + v[3]); }
LLAMAFU_INLINE V low(V a, V b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
LLAMAFU_INLINE V high(V a, V b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) { return reinterpret_cast<V>(Bits { p[0], p[1], p[2], p[3] } << 16); }
LLAMAFU_INLINE V load_i8(const int8_t * p) { return V { float(p[0]), float(p[1]), float(p[2]), float(p[3]) }; }

// Multiplying by 2^112 moves the exponent from F16's bias to F32's, for subnormals too; weights are finite.
LLAMAFU_INLINE V load_f16(const uint16_t * p) {
    const Bits bits = { p[0], p[1], p[2], p[3] };
    const V magnitude = reinterpret_cast<V>((bits & 0x7fff) << 13) * broadcast(0x1p112f);
    return reinterpret_cast<V>(reinterpret_cast<Bits>(magnitude) | ((bits & 0x8000) << 16));
}

#undef LLAMAFU_INLINE
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace plain

#if defined(__x86_64__)

namespace avx2 {

#define LLAMAFU_TARGET __attribute__((target("avx2,fma,f16c")))
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

constexpr int W = 8;
constexpr int X_ROWS = 2;
using V = __m256;

LLAMAFU_INLINE V load(const float * p) { return _mm256_loadu_ps(p); }
LLAMAFU_INLINE void store(float * p, V v) { _mm256_storeu_ps(p, v); }
LLAMAFU_INLINE V broadcast(float f) { return _mm256_set1_ps(f); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
LLAMAFU_INLINE float sum(V v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
LLAMAFU_INLINE V low(V a, V b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
LLAMAFU_INLINE V high(V a, V b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
LLAMAFU_INLINE V load_f16(const uint16_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) {
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
LLAMAFU_INLINE V load_i8(const int8_t * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}

#undef LLAMAFU_INLINE
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx2

namespace avx512 {

#define LLAMAFU_TARGET __attribute__((target("avx512f")))
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

constexpr int W = 16;
constexpr int X_ROWS = 4;
using V = __m512;

LLAMAFU_INLINE V load(const float * p) { return _mm512_loadu_ps(p); }
LLAMAFU_INLINE void store(float * p, V v) { _mm512_storeu_ps(p, v); }
LLAMAFU_INLINE V broadcast(float f) { return _mm512_set1_ps(f); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
LLAMAFU_INLINE float sum(V v) { return _mm512_reduce_add_ps(v); }
LLAMAFU_INLINE V low(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
LLAMAFU_INLINE V high(V a, V b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
LLAMAFU_INLINE V load_f16(const uint16_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) {
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
LLAMAFU_INLINE V load_i8(const int8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}

#undef LLAMAFU_INLINE
#include "lora_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx512

#endif

} // namespace

bool lora_kernels_read(ggml_type type) {
    return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0;
}

CpuLevel best_cpu_level() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        return CpuLevel::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        return CpuLevel::avx2;
    }
#endif
    return CpuLevel::plain;
}

const LoraKernels & lora_kernels(CpuLevel level) {
    switch (level) {
#if defined(__x86_64__)
        case CpuLevel::avx512: return avx512::kernels;
        case CpuLevel::avx2: return avx2::kernels;
#else
        case CpuLevel::avx512:
        case CpuLevel::avx2:
#endif
        case CpuLevel::plain: return plain::kernels;
    }
    GGML_ABORT("unknown CPU level");
}

} // namespace llamafu
