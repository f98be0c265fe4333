#pragma once

#include "ggml.h"
#include "read_ahead.h"

#include <cstdint>

namespace llamafu {

/// What is added to a product of packed weights by the threads that compute it, in two halves: y = W x + second(first(x)).
///
/// Products of the same activations form a group. The first halves of a group are computed before its first product, whose
/// threads wait for each other there anyway; the second half follows each part of the product, while it is in the cache.
class ProductDelta {
public:
    /// Deltas of a group, at most.
    static constexpr int most_places = 4;

    virtual ~ProductDelta() = default;

    /// Whether it adds anything in this step.
    virtual bool is_needed() const = 0;

    /// The share of the first half that thread `ith` of `nth` has.
    virtual void prepare(const ggml_tensor * x, int ith, int nth) const = 0;

    /// Adds to the outputs first <= i < last of each row, once all threads have prepared.
    virtual void add(const ggml_tensor * y, int64_t first, int64_t last) const = 0;

    /// What the two halves read.
    virtual void reads_of_prepare(int ith, int nth, ReadAhead & ahead) const = 0;
    virtual void reads_of_add(int64_t first, int64_t last, ReadAhead & ahead) const = 0;

    /// Place in the group. It may keep what it prepares where only deltas of the same place do.
    int place = 0;

    /// Those of the next product in the graph; null at its end.
    ProductDelta * next = nullptr;
};

/// Gives the node of a product a delta, which must outlive the graph.
inline void set_delta(ggml_tensor * product, ProductDelta & delta) {
    product->extra = &delta;
}

/// Null for none.
inline ProductDelta * delta_of(const ggml_tensor * product) {
    return static_cast<ProductDelta *>(product->extra);
}

} // namespace llamafu
