// The kernels of LoRA and of gates give the same bits with every instruction set.

#include "gate_kernels.h"
#include "lora_kernels.h"
#include "packed_parity.h"

#include "ggml.h"

#include <cmath>
#include <cstdint>
#include <numeric>

namespace llamafu {

void check_levels() {
    constexpr int64_t columns = 1000, rank = 13, rows = 9, outputs = 83;
    if (best_cpu_level() < CpuLevel::avx512) {
        return;
    }
    const std::vector<float> x = random_values(rows * columns, 20), t = random_values(rows * rank, 21), y = random_values(rows * outputs, 22);
    std::vector<int32_t> index(rows);
    std::iota(index.begin(), index.end(), 0);
    const std::vector<float> scales(rows, 0.7f);
    for (ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 }) {
        for (int64_t width : { columns, columns / 32 * 32, int64_t(32) }) {
            if (width % ggml_blck_size(type) != 0) {
                continue;
            }
            const auto matrix = [&](int64_t of_columns, int64_t of_rows, std::vector<uint8_t> & data) {
                data.resize(ggml_row_size(type, of_columns) * static_cast<size_t>(of_rows) + 64);
                const std::vector<float> values = random_values(static_cast<size_t>(of_columns * of_rows), 23);
                ggml_quantize_chunk(type, values.data(), data.data(), 0, of_rows, of_columns, nullptr);
                return Matrix { data.data(), type, of_columns, of_rows, ggml_row_size(type, of_columns), false, 0 };
            };
            std::vector<uint8_t> data;
            const Matrix a = matrix(width, rank, data);
            std::vector<float> projected[2];
            for (CpuLevel level : { CpuLevel::avx2, CpuLevel::avx512 }) {
                std::vector<float> & result = projected[level == CpuLevel::avx512];
                result.resize(rows * rank);
                const Rows of_x { reinterpret_cast<char *>(const_cast<float *>(x.data())), columns * sizeof(float), index.data(), scales.data(), rows };
                lora_kernels(level).project(a, 1.5f, of_x, result.data(), 0, rank);
            }
            require(projected[0] == projected[1], std::string("levels project ") + ggml_type_name(type) + " to the same bits");
        }
        if (type == GGML_TYPE_Q8_0) {
            continue; // rows of a rank in whole blocks only
        }
        std::vector<uint8_t> data(ggml_row_size(type, rank) * outputs + 64);
        const std::vector<float> values = random_values(rank * outputs, 24);
        ggml_quantize_chunk(type, values.data(), data.data(), 0, outputs, rank, nullptr);
        const Matrix b { data.data(), type, rank, outputs, ggml_row_size(type, rank), false, 0 };
        std::vector<float> expanded[2] = { y, y };
        for (CpuLevel level : { CpuLevel::avx2, CpuLevel::avx512 }) {
            const Rows of_y { reinterpret_cast<char *>(expanded[level == CpuLevel::avx512].data()), outputs * sizeof(float), index.data(), scales.data(), rows };
            lora_kernels(level).expand(b, t.data(), of_y, 0, outputs);
        }
        require(expanded[0] == expanded[1], std::string("levels expand ") + ggml_type_name(type) + " to the same bits");
    }
    std::vector<float> values = random_values(1003, 25), gates = random_values(1003, 26), gated[2];
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] *= static_cast<float>(i % 50);
    }
    for (CpuLevel level : { CpuLevel::avx2, CpuLevel::avx512 }) {
        std::vector<float> & result = gated[level == CpuLevel::avx512];
        result.resize(values.size());
        gate_kernel(level)(static_cast<int64_t>(values.size()), values.data(), gates.data(), result.data());
        for (size_t i = 0; i < values.size(); ++i) {
            const double value = static_cast<double>(values[i]), expected = value / (1 + std::exp(-value)) * static_cast<double>(gates[i]);
            require(std::fabs(static_cast<double>(result[i]) - expected) <= 1e-6 * std::fabs(expected) + 1e-30, "a gate is exact");
        }
        for (float bad : { NAN, INFINITY, -INFINITY }) {
            float product = 1;
            gate_kernel(level)(1, &bad, &product, &product);
            require(!std::isfinite(product), "a gate of what is not finite is not finite");
        }
    }
    require(gated[0] == gated[1], "levels gate to the same bits");
}

} // namespace llamafu
