#include "packed_formats.h"

#include <algorithm>
#include <cstring>

namespace llamafu {

namespace {

constexpr int64_t R = PackedFormat::panel_rows;
constexpr size_t cache_line = 64;
constexpr int64_t group = 4; // consecutive weights of a row that stay together

// ggml's blocks, as GGUF files hold them.

struct SourceQ8_0 {
    ggml_fp16_t d;
    int8_t quants[32];
};
static_assert(sizeof(SourceQ8_0) == 34, "Q8_0 blocks have 34 bytes");

struct SourceQ4_0 {
    ggml_fp16_t d;
    uint8_t quants[16]; // weight k and weight k + 16
};
static_assert(sizeof(SourceQ4_0) == 18, "Q4_0 blocks have 18 bytes");

struct SourceQ4_1 {
    ggml_fp16_t d;
    ggml_fp16_t minimum;
    uint8_t quants[16];
};
static_assert(sizeof(SourceQ4_1) == 20, "Q4_1 blocks have 20 bytes");

struct SourceQ5_0 {
    ggml_fp16_t d;
    uint8_t high[4]; // bit k of 32: the fifth bit of weight k
    uint8_t quants[16];
};
static_assert(sizeof(SourceQ5_0) == 22, "Q5_0 blocks have 22 bytes");

struct SourceQ5_1 {
    ggml_fp16_t d;
    ggml_fp16_t minimum;
    uint8_t high[4];
    uint8_t quants[16];
};
static_assert(sizeof(SourceQ5_1) == 24, "Q5_1 blocks have 24 bytes");

struct SourceQ4_K {
    ggml_fp16_t d;
    ggml_fp16_t dmin;
    uint8_t scales[12];
    uint8_t quants[128];
};
static_assert(sizeof(SourceQ4_K) == 144, "Q4_K blocks have 144 bytes");

struct SourceQ5_K {
    ggml_fp16_t d;
    ggml_fp16_t dmin;
    uint8_t scales[12];
    uint8_t high[32];
    uint8_t quants[128];
};
static_assert(sizeof(SourceQ5_K) == 176, "Q5_K blocks have 176 bytes");

struct SourceQ6_K {
    uint8_t low[128];
    uint8_t high[64];
    int8_t scales[16];
    ggml_fp16_t d;
};
static_assert(sizeof(SourceQ6_K) == 210, "Q6_K blocks have 210 bytes");

/// 32 weights without quantization.
template <class Float>
struct SourceFloats {
    Float values[32];
};

// Words of a block of activations.
constexpr int64_t words_of_32 = 8 + 1 + 1;
constexpr int64_t words_of_256 = 64 + 16 + 4 + 1;

// Each packed type says where weight k of row r of a block lies (put, get) and the same of its scales.

struct PackedQ8_0 {
    using Source = SourceQ8_0;
    static constexpr PackedFormat format = { 32, 2, 32 * R, 2 * R, words_of_32, 128 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        for (int64_t g = 0; g < 32 / group; ++g) {
            uint32_t weights;
            std::memcpy(&weights, source.quants + g * group, group);
            weights ^= 0x80808080; // adds 128 to each
            std::memcpy(quants + g * group * R + r * group, &weights, group);
        }
        std::memcpy(scales + 2 * r, &source.d, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        ggml_fp16_t d;
        std::memcpy(&d, scales + 2 * r, 2);
        const float scale = ggml_fp16_to_fp32(d);
        for (int64_t k = 0; k < 32; ++k) {
            values[k] = scale * static_cast<float>(quants[k / group * group * R + r * group + k % group] - 128);
        }
    }
};

/// 32 weights of four bits: weight k in the low half of a byte, weight k + 16 in the high half.
struct Nibbles {
    static constexpr size_t bytes = 16 * R;

    static size_t position(int64_t k, int64_t r) {
        return static_cast<size_t>(k % 16 / group * group * R + r * group + k % group);
    }

    /// `weight` gives weight k.
    template <class Weight>
    static void put(uint8_t * quants, int64_t r, Weight weight) {
        for (int64_t k = 0; k < 16; ++k) {
            quants[position(k, r)] = static_cast<uint8_t>((weight(k) & 15) | (weight(k + 16) & 15) << 4);
        }
    }

    static int get(const uint8_t * quants, int64_t k, int64_t r) {
        const uint8_t byte = quants[position(k, r)];
        return k < 16 ? byte & 0x0f : byte >> 4;
    }
};

struct PackedQ4_0 {
    using Source = SourceQ4_0;
    static constexpr PackedFormat format = { 32, 2, Nibbles::bytes, 2 * R, words_of_32, 8 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        for (int64_t g = 0; g < 16 / group; ++g) { // the halves of a byte are the same weights in both layouts
            std::memcpy(quants + g * group * R + r * group, source.quants + g * group, group);
        }
        std::memcpy(scales + 2 * r, &source.d, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        ggml_fp16_t d;
        std::memcpy(&d, scales + 2 * r, 2);
        const float scale = ggml_fp16_to_fp32(d);
        for (int64_t k = 0; k < 32; ++k) {
            values[k] = scale * static_cast<float>(Nibbles::get(quants, k, r) - 8);
        }
    }
};

/// 32 weights of five bits: their low halves, then their fifth bits, bit g of a byte for the weights 4 g to 4 g + 3.
struct FiveBits {
    static constexpr size_t bytes = Nibbles::bytes + group * R;

    /// `weight` gives weight k.
    template <class Weight>
    static void put(uint8_t * quants, int64_t r, Weight weight) {
        Nibbles::put(quants, r, weight);
        for (int64_t i = 0; i < group; ++i) {
            int bits = 0;
            for (int64_t g = 0; g < 32 / group; ++g) {
                bits |= (weight(g * group + i) >> 4 & 1) << g;
            }
            quants[Nibbles::bytes + r * group + i] = static_cast<uint8_t>(bits);
        }
    }

    static int get(const uint8_t * quants, int64_t k, int64_t r) {
        const int high = quants[Nibbles::bytes + r * group + k % group] >> (k / group) & 1;
        return Nibbles::get(quants, k, r) | high << 4;
    }
};

float half(const uint8_t * bytes) {
    ggml_fp16_t value;
    std::memcpy(&value, bytes, 2);
    return ggml_fp16_to_fp32(value);
}

/// Four bits, and a minimum beside the scale.
struct PackedQ4_1 {
    using Source = SourceQ4_1;
    static constexpr PackedFormat format = { 32, 1, Nibbles::bytes, 4 * R, words_of_32, 0 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        Nibbles::put(quants, r, [&](int64_t k) { return k < 16 ? source.quants[k] & 15 : source.quants[k - 16] >> 4; });
        std::memcpy(scales + 2 * r, &source.d, 2);
        std::memcpy(scales + 2 * R + 2 * r, &source.minimum, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        for (int64_t k = 0; k < 32; ++k) {
            values[k] = half(scales + 2 * r) * static_cast<float>(Nibbles::get(quants, k, r)) + half(scales + 2 * R + 2 * r);
        }
    }
};

/// Weight k of a block of Q5_0 or Q5_1.
template <class Source>
int five_bits(const Source & source, int64_t k) {
    return (k < 16 ? source.quants[k] & 15 : source.quants[k - 16] >> 4) | (source.high[k / 8] >> (k % 8) & 1) << 4;
}

struct PackedQ5_0 {
    using Source = SourceQ5_0;
    static constexpr PackedFormat format = { 32, 2, FiveBits::bytes, 2 * R, words_of_32, 16 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        FiveBits::put(quants, r, [&](int64_t k) { return five_bits(source, k); });
        std::memcpy(scales + 2 * r, &source.d, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        for (int64_t k = 0; k < 32; ++k) {
            values[k] = half(scales + 2 * r) * static_cast<float>(FiveBits::get(quants, k, r) - 16);
        }
    }
};

struct PackedQ5_1 {
    using Source = SourceQ5_1;
    static constexpr PackedFormat format = { 32, 1, FiveBits::bytes, 4 * R, words_of_32, 0 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        FiveBits::put(quants, r, [&](int64_t k) { return five_bits(source, k); });
        std::memcpy(scales + 2 * r, &source.d, 2);
        std::memcpy(scales + 2 * R + 2 * r, &source.minimum, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        for (int64_t k = 0; k < 32; ++k) {
            values[k] = half(scales + 2 * r) * static_cast<float>(FiveBits::get(quants, k, r)) + half(scales + 2 * R + 2 * r);
        }
    }
};

/// One weight of all rows, the next of all rows, ...
template <class Float, float (*to_float)(Float)>
struct PackedFloats {
    using Source = SourceFloats<Float>;
    static constexpr PackedFormat format = { 32, 1, 32 * R * sizeof(Float), 0, 32, 0 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t *) {
        for (int64_t k = 0; k < 32; ++k) {
            std::memcpy(quants + static_cast<size_t>(k * R + r) * sizeof(Float), source.values + k, sizeof(Float));
        }
    }

    static void unpack(const uint8_t * quants, const uint8_t *, int64_t r, float * values) {
        for (int64_t k = 0; k < 32; ++k) {
            Float value;
            std::memcpy(&value, quants + static_cast<size_t>(k * R + r) * sizeof(Float), sizeof(Float));
            values[k] = to_float(value);
        }
    }
};

float itself(float value) {
    return value;
}

using PackedF16 = PackedFloats<ggml_fp16_t, ggml_fp16_to_fp32>;
using PackedBF16 = PackedFloats<ggml_bf16_t, ggml_bf16_to_fp32>;
using PackedF32 = PackedFloats<float, itself>;

/// The scales of Q4_K and Q5_K: a byte for each of 8 sub-blocks and row, the minimums likewise but those of two
/// sub-blocks side by side, then d and dmin.
struct ScalesWithMinimums {
    static constexpr size_t bytes = 8 * R + 8 * R + 2 * R + 2 * R;

    static void pack(const uint8_t * source, ggml_fp16_t d, ggml_fp16_t dmin, int64_t r, uint8_t * scales) {
        for (int64_t j = 0; j < 8; ++j) {
            const uint8_t scale = static_cast<uint8_t>(j < 4 ? source[j] & 63 : (source[j + 4] & 15) | source[j - 4] >> 6 << 4);
            const uint8_t minimum = static_cast<uint8_t>(j < 4 ? source[j + 4] & 63 : source[j + 4] >> 4 | source[j] >> 6 << 4);
            scales[j * R + r] = scale;
            scales[8 * R + j / 2 * 2 * R + 2 * r + j % 2] = minimum;
        }
        std::memcpy(scales + 16 * R + 2 * r, &d, 2);
        std::memcpy(scales + 18 * R + 2 * r, &dmin, 2);
    }

    static float scale(const uint8_t * scales, int64_t j, int64_t r) {
        return half(scales + 16 * R + 2 * r) * static_cast<float>(scales[j * R + r]);
    }

    static float minimum(const uint8_t * scales, int64_t j, int64_t r) {
        return half(scales + 18 * R + 2 * r) * static_cast<float>(scales[8 * R + j / 2 * 2 * R + 2 * r + j % 2]);
    }
};

/// The four low bits of weight k of sub-block j of a block of Q4_K or Q5_K.
int low_half(const uint8_t * quants, int64_t j, int64_t k) {
    const uint8_t byte = quants[j / 2 * 32 + k];
    return j % 2 == 0 ? byte & 15 : byte >> 4;
}

struct PackedQ4_K {
    using Source = SourceQ4_K;
    static constexpr PackedFormat format = { 256, 1, 8 * Nibbles::bytes, ScalesWithMinimums::bytes, words_of_256, 0 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        for (int64_t j = 0; j < 8; ++j) {
            Nibbles::put(quants + j * Nibbles::bytes, r, [&](int64_t k) { return low_half(source.quants, j, k); });
        }
        ScalesWithMinimums::pack(source.scales, source.d, source.dmin, r, scales);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        for (int64_t k = 0; k < 256; ++k) {
            values[k] = ScalesWithMinimums::scale(scales, k / 32, r)
                    * static_cast<float>(Nibbles::get(quants + k / 32 * Nibbles::bytes, k % 32, r))
                - ScalesWithMinimums::minimum(scales, k / 32, r);
        }
    }
};

struct PackedQ5_K {
    using Source = SourceQ5_K;
    static constexpr PackedFormat format = { 256, 1, 8 * FiveBits::bytes, ScalesWithMinimums::bytes, words_of_256, 0 };

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        for (int64_t j = 0; j < 8; ++j) {
            FiveBits::put(quants + j * FiveBits::bytes, r,
                          [&](int64_t k) { return low_half(source.quants, j, k) | (source.high[k] >> j & 1) << 4; });
        }
        ScalesWithMinimums::pack(source.scales, source.d, source.dmin, r, scales);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        for (int64_t k = 0; k < 256; ++k) {
            values[k] = ScalesWithMinimums::scale(scales, k / 32, r)
                    * static_cast<float>(FiveBits::get(quants + k / 32 * FiveBits::bytes, k % 32, r))
                - ScalesWithMinimums::minimum(scales, k / 32, r);
        }
    }
};

/// 16 sub-blocks of 16 weights, which are four groups: the low halves of the groups 0 and 1 in one vector, of 2 and 3 in
/// the next, then a vector with the high two bits of group g in the bits 2 g and 2 g + 1.
struct PackedQ6_K {
    using Source = SourceQ6_K;
    static constexpr size_t vector = group * R;
    static constexpr size_t sub_block = 3 * vector;
    static constexpr PackedFormat format = { 256, 1, 16 * sub_block, 20 * R, words_of_256, PackedFormat::large_zero }; // scales, d and 32 bytes of nothing

    static int weight(const Source & source, int64_t k) {
        const int64_t half = k / 128, quarter = k % 128 / 32, l = k % 32;
        const uint8_t low = source.low[half * 64 + quarter % 2 * 32 + l];
        const int high = source.high[half * 32 + l] >> (2 * quarter) & 3;
        return (quarter < 2 ? low & 15 : low >> 4) | high << 4;
    }

    static void pack(const Source & source, int64_t r, uint8_t * quants, uint8_t * scales) {
        for (int64_t j = 0; j < 16; ++j) {
            uint8_t * sub = quants + j * sub_block + r * group;
            for (int64_t i = 0; i < group; ++i) {
                int w[group];
                for (int64_t g = 0; g < group; ++g) {
                    w[g] = weight(source, j * 16 + g * group + i);
                }
                sub[i] = static_cast<uint8_t>((w[0] & 15) | (w[1] & 15) << 4);
                sub[vector + i] = static_cast<uint8_t>((w[2] & 15) | (w[3] & 15) << 4);
                sub[2 * vector + i] = static_cast<uint8_t>(w[0] >> 4 | w[1] >> 4 << 2 | w[2] >> 4 << 4 | w[3] >> 4 << 6);
            }
            scales[j * R + r] = static_cast<uint8_t>(source.scales[j]);
        }
        std::memcpy(scales + 16 * R + 2 * r, &source.d, 2);
    }

    static void unpack(const uint8_t * quants, const uint8_t * scales, int64_t r, float * values) {
        const float d = half(scales + 16 * R + 2 * r);
        for (int64_t k = 0; k < 256; ++k) {
            const uint8_t * sub = quants + k / 16 * sub_block + r * group + k % group;
            const int64_t g = k % 16 / group;
            const int low = g % 2 == 0 ? sub[g / 2 * vector] & 15 : sub[g / 2 * vector] >> 4;
            const int high = sub[2 * vector] >> (2 * g) & 3;
            values[k] = d * static_cast<float>(static_cast<int8_t>(scales[k / 16 * R + r])) * static_cast<float>((low | high << 4) - 32);
        }
    }
};

template <class Packed>
void pack_matrix(const void * data, int64_t columns, int64_t rows, uint8_t * packed) {
    const PackedFormat & format = Packed::format;
    const int64_t blocks = columns / format.block;
    const auto * source = static_cast<const typename Packed::Source *>(data);
    const typename Packed::Source nothing = {};
    for (int64_t first = 0; first < rows; first += R, packed += format.panel_bytes(columns)) {
        for (int64_t b = 0; b < blocks; ++b) {
            for (int64_t r = 0; r < R; ++r) {
                Packed::pack(first + r < rows ? source[(first + r) * blocks + b] : nothing, r,
                             packed + format.quants_of(b), packed + format.scales_of(b, blocks));
            }
        }
    }
}

template <class Packed>
void unpack_matrix_row(const uint8_t * packed, int64_t columns, int64_t row, float * values) {
    const PackedFormat & format = Packed::format;
    const int64_t blocks = columns / format.block;
    const uint8_t * panel = packed + row / R * format.panel_bytes(columns);
    for (int64_t b = 0; b < blocks; ++b) {
        Packed::unpack(panel + format.quants_of(b), panel + format.scales_of(b, blocks), row % R, values + b * format.block);
    }
}

/// Calls `use` with an object of the packed type, or `otherwise`.
template <class Use, class Otherwise>
auto with_format(ggml_type type, Use use, Otherwise otherwise) {
    switch (type) {
        case GGML_TYPE_Q8_0: return use(PackedQ8_0());
        case GGML_TYPE_Q4_0: return use(PackedQ4_0());
        case GGML_TYPE_Q4_1: return use(PackedQ4_1());
        case GGML_TYPE_Q5_0: return use(PackedQ5_0());
        case GGML_TYPE_Q5_1: return use(PackedQ5_1());
        case GGML_TYPE_Q4_K: return use(PackedQ4_K());
        case GGML_TYPE_Q5_K: return use(PackedQ5_K());
        case GGML_TYPE_Q6_K: return use(PackedQ6_K());
        case GGML_TYPE_F16: return use(PackedF16());
        case GGML_TYPE_BF16: return use(PackedBF16());
        case GGML_TYPE_F32: return use(PackedF32());
        default: return otherwise();
    }
}

} // namespace

size_t PackedFormat::quants_of(int64_t b) const {
    return static_cast<size_t>(b) * quant_bytes + static_cast<size_t>(b / unit * unit) * scale_bytes;
}

size_t PackedFormat::scales_of(int64_t b, int64_t blocks) const {
    const int64_t first = b / unit * unit;
    return quants_of(first) + static_cast<size_t>(std::min(unit, blocks - first)) * quant_bytes + static_cast<size_t>(b - first) * scale_bytes;
}

size_t PackedFormat::panel_bytes(int64_t columns) const {
    const size_t bytes = static_cast<size_t>(columns / block) * (quant_bytes + scale_bytes);
    return (bytes + cache_line - 1) / cache_line * cache_line;
}

size_t PackedFormat::matrix_bytes(int64_t columns, int64_t rows) const {
    return static_cast<size_t>((rows + panel_rows - 1) / panel_rows) * panel_bytes(columns);
}

const PackedFormat * packed_format(ggml_type type) {
    return with_format(type, [](auto packed) -> const PackedFormat * { return &decltype(packed)::format; },
                       []() -> const PackedFormat * { return nullptr; });
}

void pack(ggml_type type, const void * data, int64_t columns, int64_t rows, uint8_t * packed) {
    with_format(type, [&](auto format) { pack_matrix<decltype(format)>(data, columns, rows, packed); },
                [] { GGML_ABORT("no packed format for this type"); });
}

void unpack_row(ggml_type type, const uint8_t * packed, int64_t columns, int64_t row, float * values) {
    with_format(type, [&](auto format) { unpack_matrix_row<decltype(format)>(packed, columns, row, values); },
                [] { GGML_ABORT("no packed format for this type"); });
}

} // namespace llamafu
