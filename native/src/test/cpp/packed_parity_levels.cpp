// The kernels of LoRA and of gates give the same bits with every instruction set, and so does what ggml computes between them.

#include "gate_kernels.h"
#include "lora_kernels.h"
#include "packed_parity.h"

#include "ggml-cpu.h"
#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>

namespace llamafu {

namespace {

/// What `compute` makes of a level: the same bits for all levels of this machine.
template <class Compute>
void check_levels_of(const std::string & what, Compute compute) {
    std::vector<float> first;
    for (CpuLevel level : { CpuLevel::neon, CpuLevel::avx2, CpuLevel::avx512 }) {
        if (!has_cpu_level(level)) {
            continue;
        }
        const std::vector<float> values = compute(level);
        require(first.empty() || values == first, "levels " + what + " to the same bits");
        first = values;
    }
    std::printf("%s: digest %s\n", what.c_str(), digest_of(first).c_str());
}

Matrix matrix_of(ggml_type type, int64_t columns, int64_t rows, uint32_t seed, std::vector<uint8_t> & data) {
    data.resize(ggml_row_size(type, columns) * static_cast<size_t>(rows) + 64);
    const std::vector<float> values = random_values(static_cast<size_t>(columns * rows), seed);
    ggml_quantize_chunk(type, values.data(), data.data(), 0, rows, columns, nullptr);
    return { data.data(), type, columns, rows, ggml_row_size(type, columns), false, 0 };
}

void check_lora(ggml_type type) {
    constexpr int64_t columns = 1000, rank = 13, rows = 9, outputs = 83;
    const std::vector<float> x = random_values(rows * columns, 20), t = random_values(rows * rank, 21), y = random_values(rows * outputs, 22);
    std::vector<int32_t> index(rows);
    std::iota(index.begin(), index.end(), 0);
    const std::vector<float> scales(rows, 0.7f);
    const auto rows_of = [&](const std::vector<float> & values) {
        return Rows { reinterpret_cast<char *>(const_cast<float *>(values.data())), values.size() / rows * sizeof(float), index.data(),
                      scales.data(), rows };
    };
    std::vector<uint8_t> data;
    for (int64_t width : { columns, columns / 32 * 32, int64_t(32) }) {
        if (width % ggml_blck_size(type) != 0) {
            continue;
        }
        const Matrix a = matrix_of(type, width, rank, 23, data);
        check_levels_of(std::string("project ") + ggml_type_name(type) + " of " + std::to_string(width) + " columns", [&](CpuLevel level) {
            std::vector<float> projected(rows * rank);
            lora_kernels(level).project(a, 1.5f, rows_of(x), projected.data(), 0, rank);
            return projected;
        });
    }
    if (type == GGML_TYPE_Q8_0) {
        return; // rows of a rank in whole blocks only
    }
    const Matrix b = matrix_of(type, rank, outputs, 24, data);
    check_levels_of(std::string("expand ") + ggml_type_name(type), [&](CpuLevel level) {
        std::vector<float> expanded = y;
        lora_kernels(level).expand(b, t.data(), rows_of(expanded), 0, outputs);
        return expanded;
    });
}

void check_gates() {
    std::vector<float> values = random_values(1003, 25);
    const std::vector<float> gates = random_values(1003, 26);
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] *= static_cast<float>(i % 50);
    }
    check_levels_of("gate", [&](CpuLevel level) {
        std::vector<float> gated(values.size());
        gate_kernel(level)(static_cast<int64_t>(values.size()), values.data(), gates.data(), gated.data());
        for (size_t i = 0; i < values.size(); ++i) {
            const double value = static_cast<double>(values[i]), expected = value / (1 + std::exp(-value)) * static_cast<double>(gates[i]);
            require(std::fabs(static_cast<double>(gated[i]) - expected) <= 1e-6 * std::fabs(expected) + 1e-30, "a gate is exact");
        }
        for (float bad : { NAN, INFINITY, -INFINITY }) {
            float product = 1;
            gate_kernel(level)(1, &bad, &product, &product);
            require(!std::isfinite(product), "a gate of what is not finite is not finite");
        }
        return gated;
    });
}

/// Which other machines print as well.
void print_nodes_of_ggml() {
    constexpr int64_t head = 68, heads = 3, tokens = 21;
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init({ 4 << 20, nullptr, false }), ggml_free);
    ggml_tensor * x = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, head, heads, tokens);
    std::vector<float> values = random_values(head * heads * tokens, 27);
    std::transform(values.begin(), values.end(), ggml_get_data_f32(x), [](float value) { return 3 * value + 1; });
    ggml_tensor * positions = ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, tokens);
    for (int i = 0; i < tokens; ++i) {
        static_cast<int32_t *>(positions->data)[i] = i * 307;
    }
    const auto rope = [&](int mode, float scale, float extrapolation) {
        return ggml_rope_ext(context.get(), x, positions, nullptr, head, mode, 4096, 10000, scale, extrapolation, 1, 32, 1);
    };
    const std::pair<const char *, ggml_tensor *> nodes[] = {
        { "rope", rope(GGML_ROPE_TYPE_NORMAL, 1, 0) }, { "rope of halves", rope(GGML_ROPE_TYPE_NEOX, 1, 0) },
        { "rope with YaRN", rope(GGML_ROPE_TYPE_NORMAL, 0.25f, 1) }, { "norm", ggml_norm(context.get(), x, 1e-5f) },
        { "RMS norm", ggml_rms_norm(context.get(), x, 1e-5f) }, { "gate with GELU", ggml_geglu(context.get(), x) } };
    ggml_cgraph * graph = ggml_new_graph(context.get());
    for (const auto & [name, node] : nodes) {
        ggml_build_forward_expand(graph, node);
    }
    require(ggml_graph_compute_with_ctx(context.get(), graph, 1) == GGML_STATUS_SUCCESS, "nodes are computed");
    for (const auto & [name, node] : nodes) {
        const float * data = ggml_get_data_f32(node);
        std::printf("%s: digest %s\n", name, digest_of(std::vector<float>(data, data + ggml_nelements(node))).c_str());
    }
    const float * normal = ggml_get_data_f32(nodes[3].second);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < head; ++i) {
        sum += static_cast<double>(normal[i]);
        squares += static_cast<double>(normal[i]) * static_cast<double>(normal[i]);
    }
    require(std::fabs(sum) < 1e-4 && std::fabs(squares / head - 1) < 1e-4, "a norm has mean 0 and variance 1");
}

} // namespace

void check_levels() {
    for (ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 }) {
        check_lora(type);
    }
    check_gates();
    print_nodes_of_ggml();
}

} // namespace llamafu
