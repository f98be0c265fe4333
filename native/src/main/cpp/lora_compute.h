#pragma once

#include "lora_kernels.h"
#include "read_ahead.h"

#include <string>
#include <vector>

namespace llamafu {

/// Index of a resident adapter; stays the same until the adapter is released.
using AdapterIndex = size_t;

struct IndexedScale {
    AdapterIndex index;
    float scale;
};

/// The rows of one matrix by adapter: the plan of a step, the same for all projections.
struct RowPlan {
    struct Group {
        int place; // of the adapter in the stacks of its rows
        AdapterIndex index;
        std::vector<int32_t> rows;
        std::vector<float> scales;
    };
    std::vector<Group> groups; // by place, so that a row adds its adapters in the order of its stack, whatever others do

    void add(int32_t row, int place, IndexedScale adapter);
};

/// Lays a B of floats out so that lora_expand reads adjacent outputs: in panels of 16 rows, the first column of all rows, the
/// second, ... Other types stay as they are. llama.cpp's own LoRA cannot use the adapter any more.
void interleave(ggml_tensor * b);

bool is_interleaved(const ggml_tensor * b);

/// What an adapter adds to one projection.
struct Factors {
    ggml_tensor * a = nullptr;
    ggml_tensor * b = nullptr;
    float multiplier = 0; // alpha / rank
};

enum class ProjectionKind { matrix, experts, embedding };

/// A weight of the base model that LoRA can adapt, and what every resident adapter adds to it.
struct Projection {
    ProjectionKind kind = ProjectionKind::matrix;
    bool on_cpu = false;
    std::string refusal; // why adapters of this weight are refused; empty when they are not
    uint32_t calls = 0;  // in the last graph that was built
    std::vector<Factors> by_index;

    const Factors * of(AdapterIndex index) const {
        return index < by_index.size() && by_index[index].a != nullptr ? &by_index[index] : nullptr;
    }

    /// Whether an adapter of the plan changes it.
    bool is_in(const RowPlan & plan) const;
};

/// First half of what the adapters add to a projection: t = scale * A x, for each row of the plan and each adapter of its
/// stack. Called by `nth` threads; `projected` gets one value for each row, adapter and rank.
void lora_project(const LoraKernels & kernels, const Projection & projection, const RowPlan & plan, const ggml_tensor * cur,
                  float * projected, int ith, int nth);

/// Second half: y += B t, for the columns first <= i < last of y. A thread adds all adapters of a stack, so they cannot collide.
void lora_expand(const LoraKernels & kernels, const Projection & projection, const RowPlan & plan, const float * projected,
                 const ggml_tensor * res, int64_t first, int64_t last);

/// What the two halves read of the adapters.
void lora_reads_of_project(const Projection & projection, const RowPlan & plan, int ith, int nth, ReadAhead & ahead);
void lora_reads_of_expand(const Projection & projection, const RowPlan & plan, int64_t first, int64_t last, ReadAhead & ahead);

} // namespace llamafu
