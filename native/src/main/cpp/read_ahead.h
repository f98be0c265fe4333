#pragma once

#include "ggml.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace llamafu {

/// Memory that is read soon.
struct Ahead {
    const uint8_t * from = nullptr;
    int64_t bytes = 0;
};

/// What a thread reads around a product besides its weights, in order. While it multiplies, a core has time to bring it into
/// its cache; when it is needed, the core would wait.
class ReadAhead {
public:
    /// Keeps the first pieces only.
    void add(const void * from, int64_t bytes) {
        if (count_ < pieces_.size() && bytes > 0) {
            pieces_[count_++] = { static_cast<const uint8_t *>(from), bytes };
        }
    }

    /// The next bytes of a piece, at most so many; none after the last piece.
    Ahead take(int64_t most) {
        if (taken_ == count_) {
            return {};
        }
        Ahead & piece = pieces_[taken_];
        const Ahead part { piece.from, std::min(most, piece.bytes) };
        piece = { piece.from + part.bytes, piece.bytes - part.bytes };
        taken_ += piece.bytes == 0;
        return part;
    }

private:
    std::array<Ahead, 64> pieces_;
    size_t count_ = 0;
    size_t taken_ = 0;
};

/// Who reads around a product, which the product asks in each step.
class Reads {
public:
    virtual ~Reads() = default;

    /// What thread `ith` of `nth` reads before the product, and after it.
    virtual void before(int ith, int nth, ReadAhead & ahead) const = 0;
    virtual void after(int ith, int nth, ReadAhead & ahead) const = 0;

    /// Those of the next product in the graph; null at its end.
    Reads * next = nullptr;
};

/// Gives the node of a product its reads, which must outlive the graph. Only products of packed weights look at them.
inline void set_reads(ggml_tensor * product, Reads & reads) {
    if (product->op == GGML_OP_MUL_MAT) {
        product->extra = &reads;
    }
}

/// Null for none.
inline Reads * reads_of(const ggml_tensor * product) {
    return static_cast<Reads *>(product->extra);
}

} // namespace llamafu
