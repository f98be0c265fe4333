#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Vectors of W floats, V, once per instruction set, each in its namespace. A file of kernels is included once per set, in
// a namespace that uses one of these, and with LLAMAFU_TARGET defined as the attribute that enables the set.

#define LLAMAFU_TARGET_PLAIN
#define LLAMAFU_TARGET_NEON
#define LLAMAFU_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define LLAMAFU_TARGET_AVX512 __attribute__((target("avx512f,fma")))

#define LLAMAFU_TARGET
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

namespace llamafu::simd::plain {

constexpr int W = 4;
using V = float __attribute__((vector_size(16)));
using Bits = uint32_t __attribute__((vector_size(16)));

LLAMAFU_INLINE V load(const float * p) { return V { p[0], p[1], p[2], p[3] }; }
LLAMAFU_INLINE void store(float * p, V v) { std::copy_n(reinterpret_cast<const float *>(&v), W, p); }
LLAMAFU_INLINE V broadcast(float f) { return V { f, f, f, f }; }
LLAMAFU_INLINE V fma(V a, V b, V c) { return a * b + c; }
LLAMAFU_INLINE float fma(float a, float b, float c) { return a * b + c; }
LLAMAFU_INLINE float first_of(V v) { return v[0]; }
LLAMAFU_INLINE float most(V v) { return std::max(std::max(v[0], v[1]), std::max(v[2], v[3])); }
LLAMAFU_INLINE float sum(V v) { return (v[0] + v[1]) + (v[2] + v[3]); }
LLAMAFU_INLINE V low(V a, V b) { return V { a[0], b[0], a[1], b[1] }; }
LLAMAFU_INLINE V high(V a, V b) { return V { a[2], b[2], a[3], b[3] }; }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) { return reinterpret_cast<V>(Bits { p[0], p[1], p[2], p[3] } << 16); }
LLAMAFU_INLINE V load_i8(const int8_t * p) { return V { float(p[0]), float(p[1]), float(p[2]), float(p[3]) }; }

// Multiplying by 2^112 moves the exponent from F16's bias to F32's, for subnormals too; weights are finite.
LLAMAFU_INLINE V load_f16(const uint16_t * p) {
    const Bits bits = { p[0], p[1], p[2], p[3] };
    const V magnitude = reinterpret_cast<V>((bits & 0x7fff) << 13) * broadcast(0x1p112f);
    return reinterpret_cast<V>(reinterpret_cast<Bits>(magnitude) | ((bits & 0x8000) << 16));
}

#include "simd.inc"

} // namespace llamafu::simd::plain

#if defined(__x86_64__)

#undef LLAMAFU_TARGET
#define LLAMAFU_TARGET __attribute__((target("avx2")))

/// Vectors H of 16-bit values, in H_LANES lanes of eight. AVX-512F has no shuffles of them, so both sets use these.
namespace llamafu::simd::halves {

constexpr int H_LANES = 2;
using H = uint16_t __attribute__((vector_size(32)));

/// The lanes are `stride` bytes apart.
LLAMAFU_INLINE H load_lanes(const uint16_t * p, size_t stride) {
    const char * second = reinterpret_cast<const char *>(p) + stride;
    const __m256i first = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
    return reinterpret_cast<H>(_mm256_inserti128_si256(first, _mm_loadu_si128(reinterpret_cast<const __m128i *>(second)), 1));
}
LLAMAFU_INLINE void store(uint16_t * p, H h) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), reinterpret_cast<__m256i>(h)); }
LLAMAFU_INLINE H low(H a, H b) { return reinterpret_cast<H>(_mm256_unpacklo_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b))); }
LLAMAFU_INLINE H high(H a, H b) { return reinterpret_cast<H>(_mm256_unpackhi_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b))); }

} // namespace llamafu::simd::halves

#undef LLAMAFU_TARGET
#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX2

namespace llamafu::simd::avx2 {

constexpr int W = 8;
using V = __m256;

LLAMAFU_INLINE V load(const float * p) { return _mm256_loadu_ps(p); }
LLAMAFU_INLINE void store(float * p, V v) { _mm256_storeu_ps(p, v); }
LLAMAFU_INLINE V broadcast(float f) { return _mm256_set1_ps(f); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
LLAMAFU_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
LLAMAFU_INLINE float first_of(V v) { return _mm256_cvtss_f32(v); }
LLAMAFU_INLINE float most(V v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
LLAMAFU_INLINE float sum(V v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
LLAMAFU_INLINE V low(V a, V b) { return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20); }
LLAMAFU_INLINE V high(V a, V b) { return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31); }
LLAMAFU_INLINE V load_f16(const uint16_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) {
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
LLAMAFU_INLINE V load_i8(const int8_t * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}

using halves::H;
using halves::H_LANES;
using halves::high;
using halves::load_lanes;
using halves::low;
using halves::store;

#include "simd.inc"

} // namespace llamafu::simd::avx2

#undef LLAMAFU_TARGET
#define LLAMAFU_TARGET LLAMAFU_TARGET_AVX512

namespace llamafu::simd::avx512 {

constexpr int W = 16;
using V = __m512;

LLAMAFU_INLINE V load(const float * p) { return _mm512_loadu_ps(p); }
LLAMAFU_INLINE void store(float * p, V v) { _mm512_storeu_ps(p, v); }
LLAMAFU_INLINE V broadcast(float f) { return _mm512_set1_ps(f); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
LLAMAFU_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
LLAMAFU_INLINE float first_of(V v) { return _mm512_cvtss_f32(v); }
LLAMAFU_INLINE float most(V v) { return _mm512_reduce_max_ps(v); }
LLAMAFU_INLINE float sum(V v) { return _mm512_reduce_add_ps(v); }
LLAMAFU_INLINE V low(V a, V b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
LLAMAFU_INLINE V high(V a, V b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}
LLAMAFU_INLINE V load_f16(const uint16_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) {
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
LLAMAFU_INLINE V load_i8(const int8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}

using halves::H;
using halves::H_LANES;
using halves::high;
using halves::load_lanes;
using halves::low;
using halves::store;

#include "simd.inc"

} // namespace llamafu::simd::avx512

#elif defined(__aarch64__)

#undef LLAMAFU_TARGET
#define LLAMAFU_TARGET LLAMAFU_TARGET_NEON

namespace llamafu::simd::neon {

constexpr int W = 4;
using V = float32x4_t;

LLAMAFU_INLINE V load(const float * p) { return vld1q_f32(p); }
LLAMAFU_INLINE void store(float * p, V v) { vst1q_f32(p, v); }
LLAMAFU_INLINE V broadcast(float f) { return vdupq_n_f32(f); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
LLAMAFU_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
LLAMAFU_INLINE float first_of(V v) { return vgetq_lane_f32(v, 0); }
LLAMAFU_INLINE float most(V v) { return vmaxvq_f32(v); }
LLAMAFU_INLINE float sum(V v) { return (v[0] + v[2]) + (v[1] + v[3]); } // in the order of AVX
LLAMAFU_INLINE V low(V a, V b) { return vzip1q_f32(a, b); }
LLAMAFU_INLINE V high(V a, V b) { return vzip2q_f32(a, b); }
LLAMAFU_INLINE V load_f16(const uint16_t * p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
LLAMAFU_INLINE V load_bf16(const uint16_t * p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
LLAMAFU_INLINE V load_i8(const int8_t * p) {
    uint32_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(bytes)))));
}

constexpr int H_LANES = 1;
using H = uint16x8_t;

LLAMAFU_INLINE H load_lanes(const uint16_t * p, size_t) { return vld1q_u16(p); }
LLAMAFU_INLINE void store(uint16_t * p, H h) { vst1q_u16(p, h); }
LLAMAFU_INLINE H low(H a, H b) { return vzip1q_u16(a, b); }
LLAMAFU_INLINE H high(H a, H b) { return vzip2q_u16(a, b); }

#include "simd.inc"

} // namespace llamafu::simd::neon

#endif

#undef LLAMAFU_TARGET
#undef LLAMAFU_INLINE
