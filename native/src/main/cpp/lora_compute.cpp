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

/// Some rows of x that share an adapter.
struct Chunk {
    const Factors * factors;
    const int32_t * rows;
    const float * scales;
    int64_t count;
    int64_t offset; // of its values in what lora_project writes
};

/// Large groups come in several chunks, so that few of them can be shared out as well.
template <class Visit>
void each_chunk(const Projection & projection, const RowPlan & plan, Visit visit) {
    constexpr int64_t most = 64;
    int64_t offset = 0;
    for (const RowPlan::Group & group : plan.groups) {
        const Factors * factors = projection.of(group.index);
        if (factors == nullptr) {
            continue;
        }
        const int64_t rank = factors->b->ne[0];
        const int64_t count = group.rows.size();
        for (int64_t first = 0; first < count; first += most) {
            visit(Chunk { factors, &group.rows[first], &group.scales[first], std::min(most, count - first), offset + first * rank });
        }
        offset += count * rank;
    }
}

/// What a thread multiplies: a chunk by rows of its A.
struct Piece {
    Chunk chunk;
    int64_t first, last;
};

template <class Visit>
void each_piece(const Projection & projection, const RowPlan & plan, int ith, int nth, Visit visit) {
    constexpr int64_t block = 4; // rows of A
    const auto blocks_of = [](const Chunk & chunk) { return (chunk.factors->a->ne[1] + block - 1) / block; };
    const auto cost_of = [](const Chunk & chunk) { return chunk.count + 4; }; // arithmetic, and reading the weights
    int64_t total = 0;
    each_chunk(projection, plan, [&](const Chunk & chunk) { total += blocks_of(chunk) * cost_of(chunk); });
    int64_t begin = 0;
    each_chunk(projection, plan, [&](const Chunk & chunk) {
        const Share share(begin, blocks_of(chunk), cost_of(chunk), total, ith, nth);
        if (share.first < share.last) {
            visit(Piece { chunk, share.first * block, std::min(chunk.factors->a->ne[1], share.last * block) });
        }
        begin += blocks_of(chunk) * cost_of(chunk);
    });
}

void add_rows(ReadAhead & ahead, const ggml_tensor * matrix, int64_t first, int64_t last) {
    const int64_t bytes = static_cast<int64_t>(matrix->nb[1]);
    ahead.add(static_cast<const char *>(matrix->data) + first * bytes, (last - first) * bytes);
}

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
    char * data = static_cast<char *>(cur->data);
    if (projection.kind == ProjectionKind::embedding) {
        each_chunk(projection, plan, [&](const Chunk & chunk) {
            const Matrix a = matrix_of(chunk.factors->a);
            for (int64_t i = ith; i < chunk.count; i += nth) {
                const int32_t token = reinterpret_cast<const int32_t *>(data)[chunk.rows[i]];
                kernels.lookup(a, token, chunk.scales[i] * chunk.factors->multiplier, projected + chunk.offset + i * a.columns);
            }
        });
        return;
    }
    Piece piece {};
    const auto compute = [&](const ggml_tensor * next) {
        if (piece.chunk.factors != nullptr) {
            const Rows x { data, cur->nb[1], piece.chunk.rows, piece.chunk.scales, piece.chunk.count };
            kernels.project(matrix_of(piece.chunk.factors->a, next), piece.chunk.factors->multiplier, x, projected + piece.chunk.offset,
                            piece.first, piece.last);
        }
    };
    each_piece(projection, plan, ith, nth, [&](const Piece & next) {
        compute(next.chunk.factors->a);
        piece = next;
    });
    compute(nullptr);
}

void lora_expand(const LoraKernels & kernels, const Projection & projection, const RowPlan & plan, const float * projected,
                 const ggml_tensor * res, int64_t first, int64_t last) {
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

void lora_reads_of_project(const Projection & projection, const RowPlan & plan, int ith, int nth, ReadAhead & ahead) {
    each_piece(projection, plan, ith, nth, [&](const Piece & piece) {
        const ggml_tensor * a = piece.chunk.factors->a;
        add_rows(ahead, a, piece.first, piece.last);
    });
}

void lora_reads_of_expand(const Projection & projection, const RowPlan & plan, int64_t first, int64_t last, ReadAhead & ahead) {
    for (const RowPlan::Group & group : plan.groups) {
        if (const Factors * factors = projection.of(group.index)) {
            add_rows(ahead, factors->b, first, last);
        }
    }
}

} // namespace llamafu
