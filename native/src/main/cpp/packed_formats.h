#pragma once

#include "ggml.h"

#include <cstddef>
#include <cstdint>

namespace llamafu {

/// How weights lie in memory for the packed kernels: the rows of a matrix, which are the outputs of a product, in panels
/// of 16. Where a panel has four consecutive weights of a row, it has the same four of its other rows beside them, so that
/// one vector instruction advances 16 outputs. The last panel is filled up with zeros.
struct PackedFormat {
    static constexpr int64_t panel_rows = 16;
    static constexpr int32_t large_zero = 32; // zero of formats with blocks of 256, where they need one

    int64_t block;      // consecutive weights of a row that share scales
    int64_t unit;       // blocks in whole cache lines: first the quants of all, then the scales of all
    size_t quant_bytes; // of a block of a panel: the quantized weights
    size_t scale_bytes; // of a block of a panel: everything else
    int64_t words;      // of 32 bits that a block of a row of activations takes in a tile
    int32_t zero;       // what is added to a weight so that it is stored without a sign

    /// Whether activations are quantized alike for both.
    bool shares_activations(const PackedFormat & other) const {
        return block == other.block && words == other.words && (block == 256 || zero == other.zero);
    }

    /// Whether weights and activations are floats, and the latter are multiplied as they are.
    bool is_float() const { return words == block; }

    /// Where the quants and the scales of block b of a panel are.
    size_t quants_of(int64_t b) const;
    size_t scales_of(int64_t b, int64_t blocks) const;

    /// Bytes of a panel, whose units follow each other; the last may be shorter. One row of activations reads them from
    /// first to last, as the hardware's prefetcher likes it.
    size_t panel_bytes(int64_t columns) const;

    /// Bytes of a matrix.
    size_t matrix_bytes(int64_t columns, int64_t rows) const;
};

/// The format for weights of a type, or null if there is none.
const PackedFormat * packed_format(ggml_type type);

/// Packs a matrix from ggml's layout of `type`, which must have a format and divide `columns` into blocks.
void pack(ggml_type type, const void * data, int64_t columns, int64_t rows, uint8_t * packed);

/// One row of a packed matrix as floats.
void unpack_row(ggml_type type, const uint8_t * packed, int64_t columns, int64_t row, float * values);

} // namespace llamafu
