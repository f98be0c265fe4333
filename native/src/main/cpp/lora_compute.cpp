#include "lora_compute.h"

#include <algorithm>

namespace llamafu {

namespace {

/// `next` is read after `t`, or null.
Matrix matrix_of(const ggml_tensor * t, const ggml_tensor * next = nullptr) {
    const auto * data = static_cast<const uint8_t *>(t->data);
    return { data, t->type, t->ne[0], t->ne[1], t->nb[1], is_interleaved(t), next ? static_cast<const uint8_t *>(next->data) - data : 0 };
}

/// In the tensor, which outlives no adapter and is an operand only.
constexpr int interleaved_parameter = 0;

template <class Float>
void interleave_panels(Float * data, int64_t columns, int64_t rows) {
    std::vector<Float> panel(static_cast<size_t>(interleaved_rows * columns));
    for (int64_t first = 0; first < rows; first += interleaved_rows, data += interleaved_rows * columns) {
        const int64_t count = std::min(interleaved_rows, rows - first);
        for (int64_t row = 0; row < count; ++row) {
            for (int64_t column = 0; column < columns; ++column) {
                panel[static_cast<size_t>(column * count + row)] = data[row * columns + column];
            }
        }
        std::copy_n(panel.begin(), count * columns, data);
    }
}

/// The part [first, last) of `blocks` equal blocks that belongs to thread `ith`, when [begin, begin + blocks * cost)
/// of all the work of a step, `total`, is spread evenly over the threads.
struct Share {
    int64_t first;
    int64_t last;

    Share(int64_t begin, int64_t blocks, int64_t cost, int64_t total, int ith, int nth)
        : first(blocks_before(total * ith / nth, begin, blocks, cost)),
          last(blocks_before(total * (ith + 1) / nth, begin, blocks, cost)) {}

private:
    static int64_t blocks_before(int64_t limit, int64_t begin, int64_t blocks, int64_t cost) {
        return std::clamp<int64_t>((limit - begin + cost - 1) / cost, 0, blocks);
    }
};

} // namespace

void interleave(ggml_tensor * b) {
    if (is_interleaved(b) || !ggml_is_contiguous(b)) {
        return;
    }
    switch (b->type) {
        case GGML_TYPE_F32: interleave_panels(static_cast<uint32_t *>(b->data), b->ne[0], b->ne[1]); break;
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16: interleave_panels(static_cast<uint16_t *>(b->data), b->ne[0], b->ne[1]); break;
        default: return;
    }
    b->op_params[interleaved_parameter] = 1;
}

bool is_interleaved(const ggml_tensor * b) {
    return b->op == GGML_OP_NONE && b->op_params[interleaved_parameter] != 0;
}

void RowPlan::add(int32_t row, int place, IndexedScale adapter) {
    const auto same = [&](const Group & group) { return group.place == place && group.index == adapter.index; };
    auto group = std::find_if(groups.begin(), groups.end(), same);
    if (group == groups.end()) {
        const auto later = [&](const Group & other) { return other.place > place; };
        group = groups.insert(std::find_if(groups.begin(), groups.end(), later), { place, adapter.index, {}, {} });
    }
    group->rows.push_back(row);
    group->scales.push_back(adapter.scale);
}

bool Projection::is_in(const RowPlan & plan) const {
    return std::any_of(plan.groups.begin(), plan.groups.end(), [&](const RowPlan::Group & group) { return of(group.index) != nullptr; });
}

void lora_project(const LoraKernels & kernels, const Projection & projection, const RowPlan & plan, const ggml_tensor * cur,
                  float * projected, int ith, int nth) {
    constexpr int64_t block = 4;  // rows of A
    constexpr int64_t chunk = 64; // rows of x, so that few large groups can be shared out as well
    const auto cost_of = [](int64_t rows) { return rows + 4; }; // arithmetic, and reading the weights
    const auto each_chunk = [&](auto && visit) {
        float * t = projected;
        for (const RowPlan::Group & group : plan.groups) {
            const Factors * factors = projection.of(group.index);
            if (factors == nullptr) {
                continue;
            }
            const int64_t count = group.rows.size();
            const int64_t rank = factors->b->ne[0];
            for (int64_t first = 0; first < count; first += chunk) {
                const int64_t rows = std::min(chunk, count - first);
                visit(*factors, Rows { static_cast<char *>(cur->data), cur->nb[1], &group.rows[first], &group.scales[first], rows },
                      t + first * rank);
            }
            t += count * rank;
        }
    };
    if (projection.kind == ProjectionKind::embedding) {
        each_chunk([&](const Factors & factors, const Rows & x, float * t) {
            const Matrix a = matrix_of(factors.a);
            for (int64_t i = ith; i < x.count; i += nth) {
                const int32_t token = static_cast<const int32_t *>(cur->data)[x.index[i]];
                kernels.lookup(a, token, x.scales[i] * factors.multiplier, t + i * a.columns);
            }
        });
        return;
    }
    int64_t total = 0;
    each_chunk([&](const Factors & factors, const Rows & x, float *) {
        total += (factors.a->ne[1] + block - 1) / block * cost_of(x.count);
    });
    struct Piece {
        const Factors * factors;
        Rows x;
        float * t;
        int64_t first, last; // rows of A
    } piece {};
    const auto compute = [&](const ggml_tensor * next) {
        if (piece.factors != nullptr) {
            kernels.project(matrix_of(piece.factors->a, next), piece.factors->multiplier, piece.x, piece.t, piece.first, piece.last);
        }
    };
    int64_t begin = 0;
    each_chunk([&](const Factors & factors, const Rows & x, float * t) {
        const int64_t rank = factors.a->ne[1];
        const int64_t blocks = (rank + block - 1) / block;
        const Share share(begin, blocks, cost_of(x.count), total, ith, nth);
        if (share.first < share.last) {
            const Piece next { &factors, x, t, share.first * block, std::min(rank, share.last * block) };
            compute(factors.a);
            piece = next;
        }
        begin += blocks * cost_of(x.count);
    });
    compute(nullptr);
}

void lora_expand(const LoraKernels & kernels, const Projection & projection, const RowPlan & plan, const float * projected,
                 const ggml_tensor * res, int ith, int nth) {
    constexpr int64_t block = 16; // floats of a cache line
    const int64_t blocks = (res->ne[0] + block - 1) / block;
    const int64_t first = blocks * ith / nth * block;
    const int64_t last = std::min(res->ne[0], blocks * (ith + 1) / nth * block);
    const float * t = projected;
    for (size_t i = 0; i < plan.groups.size(); ++i) {
        const RowPlan::Group & group = plan.groups[i];
        if (const Factors * factors = projection.of(group.index)) {
            const Factors * next = i + 1 < plan.groups.size() ? projection.of(plan.groups[i + 1].index) : nullptr;
            const Rows y { static_cast<char *>(res->data), res->nb[1], group.rows.data(), group.scales.data(), int64_t(group.rows.size()) };
            kernels.expand(matrix_of(factors->b, next ? next->b : nullptr), t, y, first, last);
            t += y.count * factors->b->ne[0];
        }
    }
}

} // namespace llamafu
