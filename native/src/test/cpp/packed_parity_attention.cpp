// Attention beside the same in double precision, and the same bits of a position in every batch, with every instruction set.

#include "attention_kernels.h"
#include "packed_parity.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

namespace llamafu {

namespace {

struct AttentionShape {
    int64_t heads;
    int64_t key_heads;
    int64_t key_size;
    int64_t value_size;
    int64_t cells;
    int64_t positions;
};

/// One sequence, whose positions are its last cells; each sees the cells up to its own.
class AttentionCase {
public:
    explicit AttentionCase(const AttentionShape & shape)
        : shape(shape), q(random_values(static_cast<size_t>(shape.positions * shape.heads * shape.key_size), 5)),
          k(halves(random_values(static_cast<size_t>(shape.cells * shape.key_heads * shape.key_size), 6))),
          v(halves(random_values(static_cast<size_t>(shape.cells * shape.key_heads * shape.value_size), 7))) {}

    /// The positions first <= p < last, computed as a node.
    std::vector<float> compute(int64_t first, int64_t last, int threads) const {
        const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
            ggml_init({ 16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }), ggml_free);
        ggml_context * c = context.get();
        const int64_t rows = last - first;
        ggml_tensor * queries = ggml_new_tensor_3d(c, GGML_TYPE_F32, shape.key_size, shape.heads, rows);
        ggml_tensor * keys = ggml_new_tensor_3d(c, GGML_TYPE_F16, shape.key_size, shape.key_heads, shape.cells);
        ggml_tensor * values = ggml_new_tensor_3d(c, GGML_TYPE_F16, shape.value_size, shape.key_heads, shape.cells);
        ggml_tensor * mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, shape.cells, rows);
        ggml_tensor * node = ggml_flash_attn_ext(c, ggml_permute(c, queries, 0, 2, 1, 3), ggml_permute(c, keys, 0, 2, 1, 3),
                                                 ggml_permute(c, values, 0, 2, 1, 3), mask, scale(), 0, 0);
        ggml_cgraph * graph = ggml_new_graph(c);
        ggml_build_forward_expand(graph, node);
        const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(ggml_backend_cpu_init(), ggml_backend_free);
        ggml_backend_cpu_set_n_threads(backend.get(), threads);
        const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
            ggml_backend_alloc_ctx_tensors(c, backend.get()), ggml_backend_buffer_free);
        const std::vector<ggml_fp16_t> seen = mask_of(first, last);
        ggml_backend_tensor_set(queries, q.data() + first * shape.heads * shape.key_size, 0, ggml_nbytes(queries));
        ggml_backend_tensor_set(keys, k.data(), 0, ggml_nbytes(keys));
        ggml_backend_tensor_set(values, v.data(), 0, ggml_nbytes(values));
        ggml_backend_tensor_set(mask, seen.data(), 0, ggml_nbytes(mask));
        require(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS, "attention is computed");
        std::vector<float> result(static_cast<size_t>(ggml_nelements(node)));
        ggml_backend_tensor_get(node, result.data(), 0, ggml_nbytes(node));
        return result;
    }

    /// All positions with one level's kernels, so many heads of keys in each task.
    std::vector<float> compute(CpuLevel level, int64_t together) const {
        const AttentionKernels & kernels = attention_kernels(level);
        const int64_t group = shape.heads / shape.key_heads;
        std::vector<float> result(static_cast<size_t>(shape.positions * shape.heads * shape.value_size));
        std::vector<float> scratch(kernels.scratch(together * group * shape.positions, shape.key_size, shape.value_size));
        const std::vector<ggml_fp16_t> seen = mask_of(0, shape.positions);
        for (int64_t head = 0; head < shape.key_heads; head += together) {
            AttentionTask task = {};
            task.q = reinterpret_cast<const char *>(q.data() + head * group * shape.key_size);
            task.q_head = static_cast<size_t>(shape.key_size) * sizeof(float);
            task.q_row = static_cast<size_t>(shape.heads) * task.q_head;
            task.k = reinterpret_cast<const char *>(k.data() + head * shape.key_size);
            task.k_head = static_cast<size_t>(shape.key_size) * sizeof(ggml_fp16_t);
            task.k_row = static_cast<size_t>(shape.key_heads * shape.key_size) * sizeof(ggml_fp16_t);
            task.v = reinterpret_cast<const char *>(v.data() + head * shape.value_size);
            task.v_head = static_cast<size_t>(shape.value_size) * sizeof(ggml_fp16_t);
            task.v_row = static_cast<size_t>(shape.key_heads * shape.value_size) * sizeof(ggml_fp16_t);
            task.mask = reinterpret_cast<const char *>(seen.data());
            task.mask_row = static_cast<size_t>(shape.cells) * sizeof(ggml_fp16_t);
            task.out = result.data() + head * group * shape.value_size;
            task.out_head = static_cast<size_t>(shape.value_size) * sizeof(float);
            task.out_row = static_cast<size_t>(shape.heads) * task.out_head;
            task.heads = together * group;
            task.key_heads = together;
            task.rows = shape.positions;
            task.cells = shape.cells;
            task.key_size = shape.key_size;
            task.value_size = shape.value_size;
            task.scale = scale();
            kernels.attend(task, scratch.data());
        }
        return result;
    }

    std::vector<double> expected() const {
        std::vector<double> result(static_cast<size_t>(shape.positions * shape.heads * shape.value_size));
        const int64_t group = shape.heads / shape.key_heads;
        for (int64_t p = 0; p < shape.positions; ++p) {
            for (int64_t h = 0; h < shape.heads; ++h) {
                const int64_t cells = shape.cells - padding - shape.positions + p + 1;
                std::vector<double> weights(static_cast<size_t>(cells));
                double total = 0;
                for (int64_t cell = 0; cell < cells; ++cell) {
                    double product = 0;
                    for (int64_t d = 0; d < shape.key_size; ++d) {
                        product += static_cast<double>(q[static_cast<size_t>((p * shape.heads + h) * shape.key_size + d)])
                            * half(k, (cell * shape.key_heads + h / group) * shape.key_size + d);
                    }
                    total += weights[static_cast<size_t>(cell)] = std::exp(product * static_cast<double>(scale()));
                }
                for (int64_t cell = 0; cell < cells; ++cell) {
                    for (int64_t d = 0; d < shape.value_size; ++d) {
                        result[static_cast<size_t>((p * shape.heads + h) * shape.value_size + d)] +=
                            weights[static_cast<size_t>(cell)] / total * half(v, (cell * shape.key_heads + h / group) * shape.value_size + d);
                    }
                }
            }
        }
        return result;
    }

    const AttentionShape shape;

private:
    static constexpr int64_t padding = 9; // cells after the last position

    float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.key_size)); }

    static std::vector<ggml_fp16_t> halves(const std::vector<float> & values) {
        std::vector<ggml_fp16_t> result(values.size());
        ggml_fp32_to_fp16_row(values.data(), result.data(), static_cast<int64_t>(values.size()));
        return result;
    }

    static double half(const std::vector<ggml_fp16_t> & values, int64_t index) {
        return static_cast<double>(ggml_fp16_to_fp32(values[static_cast<size_t>(index)]));
    }

    std::vector<ggml_fp16_t> mask_of(int64_t first, int64_t last) const {
        std::vector<ggml_fp16_t> mask;
        for (int64_t p = first; p < last; ++p) {
            for (int64_t cell = 0; cell < shape.cells; ++cell) {
                mask.push_back(ggml_fp32_to_fp16(cell <= shape.cells - padding - shape.positions + p ? 0.0f : -INFINITY));
            }
        }
        return mask;
    }

    std::vector<float> q;
    std::vector<ggml_fp16_t> k;
    std::vector<ggml_fp16_t> v;
};

void check_attention(const AttentionShape & shape) {
    const AttentionCase attention(shape);
    const std::vector<float> all = attention.compute(0, shape.positions, 1);
    const std::vector<double> expected = attention.expected();
    double worst = 0;
    for (size_t i = 0; i < all.size(); ++i) {
        const double difference = std::fabs(static_cast<double>(all[i]) - expected[i]);
        worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
    }
    const std::string name = "attention of " + std::to_string(shape.heads) + " heads of " + std::to_string(shape.key_size) + " to "
        + std::to_string(shape.cells) + " cells";
    std::printf("%s: %.1e, digest %s\n", name.c_str(), worst, digest_of(all).c_str());
    require(worst < tolerance, name + " differs from that in double precision");
    const size_t row = static_cast<size_t>(shape.heads * shape.value_size);
    for (int64_t rows = 1; rows < shape.positions; ++rows) {
        const int64_t first = rows * 7 % (shape.positions - rows + 1);
        const int threads = static_cast<int>(rows % 3) + 1;
        const std::vector<float> some = attention.compute(first, first + rows, threads);
        require(std::memcmp(some.data(), all.data() + static_cast<size_t>(first) * row, some.size() * sizeof(float)) == 0,
                name + ": " + std::to_string(rows) + " positions have other bits than in the whole batch");
    }
    for (CpuLevel level : { CpuLevel::neon, CpuLevel::avx2, CpuLevel::avx512 }) {
        for (int64_t together : { int64_t{1}, shape.key_heads }) {
            require(!has_cpu_level(level) || attention.compute(level, together) == all,
                    name + " has other bits with level " + std::to_string(static_cast<int>(level)) + ", "
                        + std::to_string(together) + " heads of keys together");
        }
    }
}

} // namespace

void check_attention() {
    check_attention({ 9, 3, 64, 64, 256, 40 });
    check_attention({ 8, 2, 48, 48, 75, 33 });
    check_attention({ 4, 4, 128, 112, 512, 20 });
}

} // namespace llamafu
