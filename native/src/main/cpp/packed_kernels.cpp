#include "packed_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

namespace llamafu {

namespace {

#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

#if defined(__x86_64__)

// What AVX2 without and with VNNI share: vectors of eight.
#define LLAMAFU_AVX2                                                                                                        \
    constexpr int L = 8;                                                                                                    \
    constexpr int MAX_WIDTH = 4;                                                                                            \
    using V = __m256;                                                                                                       \
    using I = __m256i;                                                                                                      \
    LLAMAFU_INLINE I load(const uint8_t * p) { return _mm256_loadu_si256(reinterpret_cast<const I *>(p)); }                 \
    LLAMAFU_INLINE I broadcast(int32_t i) { return _mm256_set1_epi32(i); }                                                  \
    template <int W> LLAMAFU_INLINE I activations(const int32_t * a, int c) { return broadcast(a[c]); }                     \
    LLAMAFU_INLINE V broadcast_float(const void * p) { return _mm256_broadcast_ss(static_cast<const float *>(p)); }         \
    LLAMAFU_INLINE I and_bytes(I v, int mask) { return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask))); }    \
    LLAMAFU_INLINE I or_bits(I a, I b) { return _mm256_or_si256(a, b); }                                                    \
    template <int N> LLAMAFU_INLINE I shift_right(I v) { return _mm256_srli_epi16(v, N); }                                  \
    template <int N> LLAMAFU_INLINE I shift_left(I v) { return _mm256_slli_epi16(v, N); }                                   \
    LLAMAFU_INLINE V to_float(I v) { return _mm256_cvtepi32_ps(v); }                                                        \
    LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }                                                \
    LLAMAFU_INLINE V fma_negated(V a, V b, V c) { return _mm256_fnmadd_ps(a, b, c); }                                       \
    LLAMAFU_INLINE V load_f16(const uint8_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))); } \
    LLAMAFU_INLINE V load_bf16(const uint8_t * p) {                                                                         \
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))), 16)); \
    }                                                                                                                       \
    LLAMAFU_INLINE V load_f32(const uint8_t * p) { return _mm256_loadu_ps(reinterpret_cast<const float *>(p)); }            \
    LLAMAFU_INLINE V load_u8(const uint8_t * p) {                                                                           \
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));             \
    }                                                                                                                       \
    LLAMAFU_INLINE V load_i8(const uint8_t * p) {                                                                           \
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));             \
    }                                                                                                                       \
    LLAMAFU_INLINE I load_u8_pairs(const uint8_t * p) {                                                                     \
        return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));                                 \
    }                                                                                                                       \
    LLAMAFU_INLINE void store(float * p, V v, int count) {                                                                  \
        if (count >= L) {                                                                                                   \
            _mm256_storeu_ps(p, v);                                                                                         \
        } else {                                                                                                            \
            alignas(32) float values[L];                                                                                    \
            _mm256_store_ps(values, v);                                                                                     \
            for (int i = 0; i < count; ++i) {                                                                               \
                p[i] = values[i];                                                                                           \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    LLAMAFU_INLINE I magnitude_bits(const float * p) {                                                                      \
        return _mm256_and_si256(load(reinterpret_cast<const uint8_t *>(p)), _mm256_set1_epi32(0x7fffffff));                 \
    }                                                                                                                       \
    LLAMAFU_INLINE I max(I a, I b) { return _mm256_max_epi32(a, b); }                                                       \
    LLAMAFU_INLINE int32_t max_of(I v) {                                                                                    \
        __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));                               \
        m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));                                                                   \
        return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));                                             \
    }                                                                                                                       \
    LLAMAFU_INLINE int32_t quantize_16(const float * x, float inverse, int8_t * out) {                                      \
        const V factor = _mm256_set1_ps(inverse);                                                                           \
        const I low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));                                        \
        const I high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), factor));                                   \
        const I words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);                                      \
        const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));           \
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out), bytes);                                                          \
        /* |sum| < 2^15, so biased bytes sum exactly */                                                                     \
        const __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());                  \
        return _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4) - 16 * 128;                                             \
    }

namespace avx2 {

#define LLAMAFU_TARGET __attribute__((target("avx2,fma,f16c")))
LLAMAFU_AVX2

/// w up to 127, as its sums of two products must fit 16 bits
LLAMAFU_INLINE I dot(I sum, I w, I a) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)));
}

/// w is the weight plus 128, and the signed weight is multiplied
constexpr bool bytes_have_zero = false;
LLAMAFU_INLINE I dot_bytes(I sum, I w, I a) {
    const I weights = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return dot(sum, _mm256_abs_epi8(weights), _mm256_sign_epi8(a, weights));
}

LLAMAFU_INLINE I dot_pairs(I sum, I w, I a) { return _mm256_add_epi32(sum, _mm256_madd_epi16(w, a)); }

#undef LLAMAFU_INLINE
#include "packed_kernels.inc"
#undef LLAMAFU_TARGET
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

} // namespace avx2

namespace avx2_vnni {

#define LLAMAFU_TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
LLAMAFU_AVX2

LLAMAFU_INLINE I dot(I sum, I w, I a) { return _mm256_dpbusd_avx_epi32(sum, w, a); }

constexpr bool bytes_have_zero = true;
LLAMAFU_INLINE I dot_bytes(I sum, I w, I a) { return dot(sum, w, a); }

LLAMAFU_INLINE I dot_pairs(I sum, I w, I a) { return _mm256_dpwssd_avx_epi32(sum, w, a); }

#undef LLAMAFU_INLINE
#include "packed_kernels.inc"
#undef LLAMAFU_TARGET
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

} // namespace avx2_vnni

namespace avx512_vnni {

#define LLAMAFU_TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

constexpr int L = 16;
constexpr int MAX_WIDTH = 8;
using V = __m512;
using I = __m512i;

LLAMAFU_INLINE I load(const uint8_t * p) { return _mm512_loadu_si512(p); }
LLAMAFU_INLINE I broadcast(int32_t i) { return _mm512_set1_epi32(i); }
template <int W> LLAMAFU_INLINE I activations(const int32_t * a, int c) { return broadcast(a[c]); }
LLAMAFU_INLINE V broadcast_float(const void * p) { return _mm512_set1_ps(*static_cast<const float *>(p)); }
LLAMAFU_INLINE I and_bytes(I v, int mask) { return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(mask))); }
LLAMAFU_INLINE I or_bits(I a, I b) { return _mm512_or_si512(a, b); }
template <int N> LLAMAFU_INLINE I shift_right(I v) { return _mm512_srli_epi16(v, N); }
template <int N> LLAMAFU_INLINE I shift_left(I v) { return _mm512_slli_epi16(v, N); }
LLAMAFU_INLINE V to_float(I v) { return _mm512_cvtepi32_ps(v); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
LLAMAFU_INLINE V fma_negated(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }
LLAMAFU_INLINE V load_f16(const uint8_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))); }
LLAMAFU_INLINE V load_bf16(const uint8_t * p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))), 16));
}
LLAMAFU_INLINE V load_f32(const uint8_t * p) { return _mm512_loadu_ps(p); }
LLAMAFU_INLINE V load_u8(const uint8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}
LLAMAFU_INLINE V load_i8(const uint8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}
LLAMAFU_INLINE I load_u8_pairs(const uint8_t * p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}
LLAMAFU_INLINE void store(float * p, V v, int count) {
    if (count >= L) {
        _mm512_storeu_ps(p, v);
    } else {
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1 << count) - 1), v);
    }
}
LLAMAFU_INLINE I magnitude_bits(const float * p) {
    return _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(0x7fffffff));
}
LLAMAFU_INLINE I max(I a, I b) { return _mm512_max_epi32(a, b); }
LLAMAFU_INLINE int32_t max_of(I v) { return _mm512_reduce_max_epi32(v); }
LLAMAFU_INLINE int32_t quantize_16(const float * x, float inverse, int8_t * out) {
    const I words = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
    const __m128i bytes = _mm512_cvtsepi32_epi8(words);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out), bytes);
    const __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4) - 16 * 128;
}

LLAMAFU_INLINE I dot(I sum, I w, I a) { return _mm512_dpbusd_epi32(sum, w, a); }

constexpr bool bytes_have_zero = true;
LLAMAFU_INLINE I dot_bytes(I sum, I w, I a) { return dot(sum, w, a); }

LLAMAFU_INLINE I dot_pairs(I sum, I w, I a) { return _mm512_dpwssd_epi32(sum, w, a); }

#undef LLAMAFU_INLINE
#include "packed_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace avx512_vnni

#elif defined(__aarch64__)

// Of Linux's asm/hwcap.h, where older headers lack some.
constexpr unsigned long hwcap_asimdhp = 1ul << 10;
constexpr unsigned long hwcap_asimddp = 1ul << 20;
constexpr unsigned long hwcap2_i8mm = 1ul << 13;

// What both levels share: vectors of four.
namespace neon {

#define LLAMAFU_TARGET __attribute__((target("arch=armv8.2-a+fp16+dotprod")))

constexpr int L = 4;
constexpr int MAX_WIDTH = 8;
using V = float32x4_t;
using I = int32x4_t;

/// Those of a row are a lane, which instructions for dot products can choose.
struct Activations {
    int8x16_t rows;
    int lane;
};

LLAMAFU_INLINE I load(const uint8_t * p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
LLAMAFU_INLINE I broadcast(int32_t i) { return vdupq_n_s32(i); }
template <int W> LLAMAFU_INLINE Activations activations(const int32_t * a, int c) {
    const int first = c / 4 * 4;
    return first + 4 <= W ? Activations { vreinterpretq_s8_s32(vld1q_s32(a + first)), c % 4 }
                          : Activations { vreinterpretq_s8_s32(vdupq_n_s32(a[c])), 0 };
}
LLAMAFU_INLINE V broadcast_float(const void * p) { return vld1q_dup_f32(static_cast<const float *>(p)); }
LLAMAFU_INLINE I and_bytes(I v, int mask) { return vandq_s32(v, vreinterpretq_s32_u8(vdupq_n_u8(static_cast<uint8_t>(mask)))); }
LLAMAFU_INLINE I or_bits(I a, I b) { return vorrq_s32(a, b); }
template <int N> LLAMAFU_INLINE I shift_right(I v) { return vreinterpretq_s32_u8(vreinterpretq_u8_s32(v) >> N); }
template <int N> LLAMAFU_INLINE I shift_left(I v) { return vreinterpretq_s32_u8(vreinterpretq_u8_s32(v) << N); }
LLAMAFU_INLINE V to_float(I v) { return vcvtq_f32_s32(v); }
LLAMAFU_INLINE V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
LLAMAFU_INLINE V fma_negated(V a, V b, V c) { return vfmsq_f32(c, a, b); }
LLAMAFU_INLINE V load_f16(const uint8_t * p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
LLAMAFU_INLINE V load_bf16(const uint8_t * p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }
LLAMAFU_INLINE V load_f32(const uint8_t * p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
LLAMAFU_INLINE uint64_t four_bytes(const uint8_t * p) {
    uint32_t bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes;
}
LLAMAFU_INLINE V load_u8(const uint8_t * p) { return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four_bytes(p)))))); }
LLAMAFU_INLINE V load_i8(const uint8_t * p) { return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four_bytes(p)))))); }
LLAMAFU_INLINE I load_u8_pairs(const uint8_t * p) { return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p))); }
LLAMAFU_INLINE void store(float * p, V v, int count) {
    if (count >= L) {
        vst1q_f32(p, v);
    } else {
        float values[L];
        vst1q_f32(values, v);
        for (int i = 0; i < count; ++i) {
            p[i] = values[i];
        }
    }
}
LLAMAFU_INLINE I magnitude_bits(const float * p) { return vreinterpretq_s32_f32(vabsq_f32(vld1q_f32(p))); }
LLAMAFU_INLINE I max(I a, I b) { return vmaxq_s32(a, b); }
LLAMAFU_INLINE int32_t max_of(I v) { return vmaxvq_s32(v); }
LLAMAFU_INLINE int16x8_t round_8(const float * x, float inverse) {
    return vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse))),
                        vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse))));
}
LLAMAFU_INLINE int32_t quantize_16(const float * x, float inverse, int8_t * out) {
    const int8x16_t bytes = vcombine_s8(vqmovn_s16(round_8(x, inverse)), vqmovn_s16(round_8(x + 8, inverse)));
    vst1q_s8(out, bytes);
    return vaddlvq_s8(bytes);
}

/// w up to 127
LLAMAFU_INLINE I dot(I sum, I w, Activations a) {
    const int8x16_t weights = vreinterpretq_s8_s32(w);
    switch (a.lane) {
        case 0: return vdotq_laneq_s32(sum, weights, a.rows, 0);
        case 1: return vdotq_laneq_s32(sum, weights, a.rows, 1);
        case 2: return vdotq_laneq_s32(sum, weights, a.rows, 2);
        default: return vdotq_laneq_s32(sum, weights, a.rows, 3);
    }
}

LLAMAFU_INLINE I dot_pairs(I sum, I w, I a) {
    const int16x8_t weights = vreinterpretq_s16_s32(w), factors = vreinterpretq_s16_s32(a);
    const int32x4_t low = vmull_s16(vget_low_s16(weights), vget_low_s16(factors));
    return vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(weights, factors)));
}

#undef LLAMAFU_TARGET

} // namespace neon

namespace neon_dotprod {

using namespace neon;

#define LLAMAFU_TARGET __attribute__((target("arch=armv8.2-a+fp16+dotprod")))

/// w is the weight plus 128, and the signed weight is multiplied
constexpr bool bytes_have_zero = false;
LLAMAFU_INLINE I dot_bytes(I sum, I w, Activations a) {
    return dot(sum, veorq_s32(w, vreinterpretq_s32_u8(vdupq_n_u8(128))), a);
}

#undef LLAMAFU_INLINE
#include "packed_kernels.inc"
#undef LLAMAFU_TARGET
#define LLAMAFU_INLINE LLAMAFU_TARGET inline __attribute__((always_inline))

} // namespace neon_dotprod

namespace neon_i8mm {

using namespace neon;

#define LLAMAFU_TARGET __attribute__((target("arch=armv8.2-a+fp16+dotprod+i8mm")))

constexpr bool bytes_have_zero = true;
LLAMAFU_INLINE I dot_bytes(I sum, I w, Activations a) {
    const uint8x16_t weights = vreinterpretq_u8_s32(w);
    switch (a.lane) {
        case 0: return vusdotq_laneq_s32(sum, weights, a.rows, 0);
        case 1: return vusdotq_laneq_s32(sum, weights, a.rows, 1);
        case 2: return vusdotq_laneq_s32(sum, weights, a.rows, 2);
        default: return vusdotq_laneq_s32(sum, weights, a.rows, 3);
    }
}

#undef LLAMAFU_INLINE
#include "packed_kernels.inc"
#undef LLAMAFU_TARGET

} // namespace neon_i8mm

#endif

} // namespace

bool has_packed_level(PackedLevel level) {
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#elif defined(__aarch64__)
    const bool dotprod = (getauxval(AT_HWCAP) & hwcap_asimddp) != 0 && (getauxval(AT_HWCAP) & hwcap_asimdhp) != 0;
#endif
    switch (level) {
        case PackedLevel::none: return true;
#if defined(__x86_64__)
        case PackedLevel::avx2: return avx2;
        case PackedLevel::avx2_vnni: return avx2 && __builtin_cpu_supports("avxvnni");
        case PackedLevel::avx512_vnni:
            return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
        case PackedLevel::neon_dotprod: return dotprod;
        case PackedLevel::neon_i8mm: return dotprod && (getauxval(AT_HWCAP2) & hwcap2_i8mm) != 0;
#endif
        default: return false;
    }
}

const PackedKernels & packed_kernels(PackedLevel level) {
    switch (level) {
#if defined(__x86_64__)
        case PackedLevel::avx512_vnni: return avx512_vnni::kernels;
        case PackedLevel::avx2_vnni: return avx2_vnni::kernels;
        case PackedLevel::avx2: return avx2::kernels;
#elif defined(__aarch64__)
        case PackedLevel::neon_i8mm: return neon_i8mm::kernels;
        case PackedLevel::neon_dotprod: return neon_dotprod::kernels;
#endif
        default: GGML_ABORT("no packed kernels for this level");
    }
}

PackedLevel best_packed_level() {
    for (PackedLevel level : { PackedLevel::neon_i8mm, PackedLevel::neon_dotprod, PackedLevel::avx512_vnni, PackedLevel::avx2_vnni,
                               PackedLevel::avx2 }) {
        if (has_packed_level(level)) {
            return level;
        }
    }
    return PackedLevel::none;
}

const PackedKernels & best_packed_kernels() {
    static const PackedKernels & kernels = packed_kernels(best_packed_level());
    return kernels;
}

} // namespace llamafu
