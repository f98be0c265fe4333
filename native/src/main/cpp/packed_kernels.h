#pragma once

#include "packed_formats.h"
#include "read_ahead.h"

#include <cstddef>
#include <cstdint>

namespace llamafu {

/// Instruction sets with packed kernels.
enum class PackedLevel { none, avx2, avx2_vnni, avx512_vnni, neon_dotprod, neon_i8mm };

/// Whether this machine supports a level.
bool has_packed_level(PackedLevel level);

/// The best level that this machine supports.
PackedLevel best_packed_level();

/// Multiplies a panel by a tile of activations: out[c * stride + r] for the row r < rows of the panel and the row c of the
/// tile. The sum of an output runs in the order of the blocks, whatever the level and the width of the tile: the same
/// panel and the same activations give the same bits. A wide tile brings as much of `ahead` into the cache as a panel has bytes.
using PackedMultiply = void (*)(const uint8_t * panel, int64_t blocks, const int32_t * tile, float * out, size_t stride, int rows, Ahead ahead);

struct PackedKernels {
    int max_width; // of a tile, in rows of activations

    /// Quantizes the blocks first <= b < last of a row of activations x, and puts them into column c of its tile.
    void (*quantize)(const PackedFormat & format, const float * x, int64_t first, int64_t last, int width, int c, int32_t * tile);

    /// For tiles of that width.
    PackedMultiply (*multiply)(ggml_type type, int width);
};

/// The kernels of a level, which this machine must support.
const PackedKernels & packed_kernels(PackedLevel level);

/// Those of the best level, where there is one.
const PackedKernels & best_packed_kernels();

} // namespace llamafu
