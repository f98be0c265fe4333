// The kernels of LoRA and of gates give the same bits with every instruction set.

#include "gate_kernels.h"
#include "lora_kernels.h"
#include "packed_parity.h"

#include "ggml.h"

#include <cmath>
#include <cstdint>
#include <numeric>

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

} // namespace

void check_levels() {
    for (ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 }) {
        check_lora(type);
    }
    check_gates();
}

} // namespace llamafu
