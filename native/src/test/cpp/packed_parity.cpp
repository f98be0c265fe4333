// Compares products of packed weights, and attention, with the same in double precision, for every format, instruction
// set, width of a tile and kind of remainder; and demands the same bits of a row alone and in batches, with any number of
// threads and every instruction set, up to the logits of random models with stacks of adapters and copied prefixes. What has no
// packed form must stay as llama.cpp computes it.

#include "attention_kernels.h"
#include "gate_kernels.h"
#include "lora_routing.h"
#include "packed_formats.h"
#include "packed_kernels.h"
#include "packed_weights.h"
#include "prefix_cells.h"
#include "random_model.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-cpu/traits.h"
#include "llama-ext.h"
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

using namespace llamafu;

namespace {

constexpr int most_rows = 33;
constexpr double tolerance = 1e-5; // of the sum of the products' magnitudes

struct Shape {
    int64_t columns;
    int64_t rows;
};

void require(bool condition, const std::string & what) {
    if (!condition) {
        throw std::runtime_error(what);
    }
}

std::vector<float> random_values(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float & value : values) {
        value = normal(random);
    }
    return values;
}

/// The values that the kernels multiply instead of x: in each block, whole multiples of a 127th of its largest magnitude, but
/// x itself by weights that are floats.
std::vector<double> rounded(const std::vector<float> & x, const PackedFormat & format) {
    if (format.is_float()) {
        return std::vector<double>(x.begin(), x.end());
    }
    const int64_t block = format.block;
    std::vector<double> result(x.size());
    for (size_t first = 0; first < x.size(); first += block) {
        float largest = 0;
        for (int64_t i = 0; i < block; ++i) {
            largest = std::max(largest, std::fabs(x[first + i]));
        }
        const float scale = largest / 127.0f;
        const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
        for (int64_t i = 0; i < block; ++i) {
            result[first + i] = static_cast<double>(std::nearbyint(x[first + i] * inverse)) * static_cast<double>(scale);
        }
    }
    return result;
}

/// Weights in our buffer type, and what ggml's own types say they are.
class Weights {
public:
    Weights(ggml_type type, Shape shape, uint32_t seed)
        : Weights(type, shape, random_values(static_cast<size_t>(shape.columns * shape.rows), seed)) {}

    Weights(ggml_type type, Shape shape, const std::vector<float> & values)
        : type(type), shape(shape), context_(ggml_init({ ggml_tensor_overhead(), nullptr, true }), ggml_free),
          tensor(ggml_set_name(ggml_new_tensor_2d(context_.get(), type, shape.columns, shape.rows), "token_embd.weight")), // a table, too
          buffer_(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_get_extra_buffer_types().front()),
                  ggml_backend_buffer_free) {
        std::vector<uint8_t> quantized(ggml_nbytes(tensor));
        ggml_quantize_chunk(type, values.data(), quantized.data(), 0, shape.rows, shape.columns, nullptr);
        floats.resize(values.size());
        if (type == GGML_TYPE_F32) { // which ggml does not convert
            floats = values;
        } else {
            ggml_get_type_traits(type)->to_float(quantized.data(), floats.data(), static_cast<int64_t>(floats.size()));
        }
        ggml_backend_tensor_set(tensor, quantized.data(), 0, quantized.size());
    }

    const ggml_type type;
    const Shape shape;
    std::vector<float> floats;

private:
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context_;

public:
    ggml_tensor * const tensor;

private:
    std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_;
};

/// Computes a node with packed weights and a second source.
std::vector<float> compute(const Weights & weights, ggml_op op, const void * source, int64_t rows, int threads) {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({ 8 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }), ggml_free);
    ggml_tensor * input = op == GGML_OP_MUL_MAT ? ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, weights.shape.columns, rows)
                                                : ggml_new_tensor_1d(context.get(), GGML_TYPE_I32, rows);
    ggml_tensor * output = op == GGML_OP_MUL_MAT ? ggml_mul_mat(context.get(), weights.tensor, input)
                                                 : ggml_get_rows(context.get(), weights.tensor, input);
    ggml_cgraph * graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, output);
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(ggml_backend_cpu_init(), ggml_backend_free);
    ggml_backend_cpu_set_n_threads(backend.get(), threads);
    require(ggml_backend_supports_op(backend.get(), output), "the backend supports the node");
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors(context.get(), backend.get()), ggml_backend_buffer_free);
    ggml_backend_tensor_set(input, source, 0, ggml_nbytes(input));
    require(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS, "the node is computed");
    std::vector<float> result(static_cast<size_t>(ggml_nelements(output)));
    ggml_backend_tensor_get(output, result.data(), 0, ggml_nbytes(output));
    return result;
}

std::string name_of(const Weights & weights) {
    return std::string(ggml_type_name(weights.type)) + " " + std::to_string(weights.shape.rows) + " x "
        + std::to_string(weights.shape.columns);
}

/// All rows at once with one level's kernels, in tiles of one width.
std::vector<float> multiply(PackedLevel level, const Weights & weights, const std::vector<float> & x, int width) {
    const PackedKernels & kernels = packed_kernels(level);
    const PackedFormat & format = *packed_format(weights.type);
    const int64_t columns = weights.shape.columns, rows = weights.shape.rows, blocks = columns / format.block;
    std::vector<float> result(static_cast<size_t>(most_rows * rows));
    std::vector<int32_t> tile(static_cast<size_t>(width * blocks * format.words));
    for (int first = 0; first < most_rows; first += width) {
        const int count = std::min(width, most_rows - first);
        for (int c = 0; c < count; ++c) {
            kernels.quantize(format, x.data() + (first + c) * columns, 0, blocks, count, c, tile.data());
        }
        for (int64_t row = 0; row < rows; row += PackedFormat::panel_rows) {
            kernels.multiply(weights.type, count)(
                static_cast<const uint8_t *>(weights.tensor->data) + row / PackedFormat::panel_rows * format.panel_bytes(columns),
                blocks, tile.data(), result.data() + first * rows + row, static_cast<size_t>(rows),
                static_cast<int>(std::min(PackedFormat::panel_rows, rows - row)));
        }
    }
    return result;
}

void check(ggml_type type, Shape shape, uint32_t seed) {
    const Weights weights(type, shape, seed);
    std::vector<float> x = random_values(static_cast<size_t>(most_rows * shape.columns), seed + 1);
    std::fill_n(x.begin(), shape.columns, 0.0f); // a row of nothing
    x[static_cast<size_t>(shape.columns)] = 1e4f; // an outlier
    const std::vector<float> products = compute(weights, GGML_OP_MUL_MAT, x.data(), most_rows, 1);

    const std::vector<double> activations = rounded(x, *packed_format(type));
    double worst = 0;
    for (int64_t c = 0; c < most_rows; ++c) {
        for (int64_t r = 0; r < shape.rows; ++r) {
            double sum = 0, magnitude = 1e-9;
            for (int64_t k = 0; k < shape.columns; ++k) {
                const double product = static_cast<double>(weights.floats[static_cast<size_t>(r * shape.columns + k)])
                    * activations[static_cast<size_t>(c * shape.columns + k)];
                sum += product;
                magnitude += std::fabs(product);
            }
            const double difference = std::fabs(sum - static_cast<double>(products[static_cast<size_t>(c * shape.rows + r)]));
            worst = std::max(worst, std::isfinite(difference) ? difference / magnitude : INFINITY);
        }
    }
    std::printf("%-14s %.1e of the products' magnitudes\n", name_of(weights).c_str(), worst);
    require(worst < tolerance, name_of(weights) + " differs from the sum in double precision");

    for (int rows = 1; rows < most_rows; ++rows) {
        for (int threads = 1; threads <= 3; ++threads) {
            const int first = (rows * 7 + threads) % (most_rows - rows + 1);
            const std::vector<float> some = compute(weights, GGML_OP_MUL_MAT, x.data() + first * shape.columns, rows, threads);
            require(std::memcmp(some.data(), products.data() + first * shape.rows, some.size() * sizeof(float)) == 0,
                    name_of(weights) + ": " + std::to_string(rows) + " rows with " + std::to_string(threads)
                        + " threads have other bits than in the whole batch");
        }
    }
    for (PackedLevel level : { PackedLevel::avx2, PackedLevel::avx2_vnni, PackedLevel::avx512_vnni }) {
        if (!has_packed_level(level)) {
            continue;
        }
        for (int width = 1; width <= packed_kernels(level).max_width; ++width) {
            require(multiply(level, weights, x, width) == products,
                    name_of(weights) + ": tiles of " + std::to_string(width) + " rows have other bits with level "
                        + std::to_string(static_cast<int>(level)));
        }
    }

    std::vector<int32_t> indexes;
    for (int64_t row = shape.rows - 1; row >= 0; row -= 3) {
        indexes.push_back(static_cast<int32_t>(row));
    }
    const std::vector<float> found = compute(weights, GGML_OP_GET_ROWS, indexes.data(), static_cast<int64_t>(indexes.size()), 2);
    for (size_t i = 0; i < found.size(); ++i) {
        const int64_t row = indexes[i / static_cast<size_t>(shape.columns)];
        const float expected = weights.floats[static_cast<size_t>(row * shape.columns) + i % static_cast<size_t>(shape.columns)];
        require(std::fabs(found[i] - expected) <= 1e-6f * std::max(1.0f, std::fabs(expected)), name_of(weights) + ": a row is found");
    }
}

/// What is not finite must not become a number, nor leave its row.
void check_not_finite(ggml_type type) {
    const Shape shape = { 512, 16 };
    const Weights weights(type, shape, 3);
    const std::vector<float> healthy = random_values(static_cast<size_t>(3 * shape.columns), 4);
    const std::vector<float> expected = compute(weights, GGML_OP_MUL_MAT, healthy.data(), 3, 1);
    for (float bad : { NAN, INFINITY, -INFINITY }) {
        std::vector<float> x = healthy;
        x[static_cast<size_t>(shape.columns + 300)] = bad;
        const std::vector<float> products = compute(weights, GGML_OP_MUL_MAT, x.data(), 3, 1);
        for (size_t i = 0; i < products.size(); ++i) {
            const bool spoiled = i / static_cast<size_t>(shape.rows) == 1;
            require(spoiled ? !std::isfinite(products[i]) : products[i] == expected[i],
                    name_of(weights) + ": a product of a row beside " + std::to_string(bad));
        }
    }
}

/// The same of a weight, in formats that can store it.
void check_weight_not_finite(ggml_type type) {
    const Shape shape = { 64, 20 };
    const std::vector<float> x = random_values(static_cast<size_t>(3 * shape.columns), 5);
    std::vector<float> values = random_values(static_cast<size_t>(shape.columns * shape.rows), 6);
    const std::vector<float> expected = compute(Weights(type, shape, values), GGML_OP_MUL_MAT, x.data(), 3, 1);
    for (float bad : { NAN, INFINITY, -INFINITY }) {
        values[static_cast<size_t>(17 * shape.columns + 40)] = bad;
        const std::vector<float> products = compute(Weights(type, shape, values), GGML_OP_MUL_MAT, x.data(), 3, 1);
        for (size_t i = 0; i < products.size(); ++i) {
            const bool spoiled = i % static_cast<size_t>(shape.rows) == 17;
            require(spoiled ? !std::isfinite(products[i]) : products[i] == expected[i],
                    std::string(ggml_type_name(type)) + ": a product with a row of weights beside " + std::to_string(bad));
        }
    }
}

/// Levels of LoRA's kernels and of gates give the same bits.
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

/// Experts give each row the bits that a product with their own matrix gives.
void check_experts(ggml_type type, int64_t inputs_of_token) {
    constexpr int64_t experts = 5, used = 2, tokens = 30, columns = 512, rows = 40;
    std::mt19937 random(40);
    std::vector<int32_t> chosen(used * tokens);
    for (int64_t t = 0; t < tokens; ++t) {
        chosen[static_cast<size_t>(t * used)] = static_cast<int32_t>(random() % (experts - 1)); // the last one has no token
        chosen[static_cast<size_t>(t * used + 1)] = (chosen[static_cast<size_t>(t * used)] + 1) % (experts - 1);
    }
    const std::vector<float> x = random_values(static_cast<size_t>(columns * inputs_of_token * tokens), 41);
    const std::vector<float> values = random_values(static_cast<size_t>(columns * rows * experts), 42);
    std::vector<std::vector<float>> products;
    std::vector<uint8_t> quantized;
    for (int64_t e = 0; e < experts; ++e) {
        const std::vector<float> own(values.begin() + e * columns * rows, values.begin() + (e + 1) * columns * rows);
        products.push_back(compute(Weights(type, { columns, rows }, own), GGML_OP_MUL_MAT, x.data(), inputs_of_token * tokens, 1));
        std::vector<uint8_t> data(ggml_row_size(type, columns) * rows);
        ggml_quantize_chunk(type, own.data(), data.data(), 0, rows, columns, nullptr);
        quantized.insert(quantized.end(), data.begin(), data.end());
    }
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> of_weights(ggml_init({ ggml_tensor_overhead(), nullptr, true }), ggml_free);
    ggml_tensor * weights = ggml_set_name(ggml_new_tensor_3d(of_weights.get(), type, columns, rows, experts), "ffn_up_exps.weight");
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> weights_buffer(
        ggml_backend_alloc_ctx_tensors_from_buft(of_weights.get(), ggml_backend_cpu_get_extra_buffer_types().front()), ggml_backend_buffer_free);
    ggml_backend_tensor_set(weights, quantized.data(), 0, quantized.size());
    for (int threads = 1; threads <= 3; ++threads) {
        const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
            ggml_init({ 8 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }), ggml_free);
        ggml_tensor * input = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, columns, inputs_of_token, tokens);
        ggml_tensor * ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, used, tokens);
        ggml_tensor * output = ggml_mul_mat_id(context.get(), weights, input, ids);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, output);
        const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(ggml_backend_cpu_init(), ggml_backend_free);
        ggml_backend_cpu_set_n_threads(backend.get(), threads);
        const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
            ggml_backend_alloc_ctx_tensors(context.get(), backend.get()), ggml_backend_buffer_free);
        ggml_backend_tensor_set(input, x.data(), 0, ggml_nbytes(input));
        ggml_backend_tensor_set(ids, chosen.data(), 0, ggml_nbytes(ids));
        for (int run = 0; run < 2; ++run) { // the node has a counter that must be 0 again
            require(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS, "experts are computed");
            std::vector<float> result(static_cast<size_t>(ggml_nelements(output)));
            ggml_backend_tensor_get(output, result.data(), 0, ggml_nbytes(output));
            for (int64_t i = 0; i < used * tokens; ++i) {
                const int64_t of_x = i / used * inputs_of_token + i % used % inputs_of_token;
                const std::vector<float> & expected = products[static_cast<size_t>(chosen[static_cast<size_t>(i)])];
                require(std::memcmp(result.data() + i * rows, expected.data() + of_x * rows, rows * sizeof(float)) == 0,
                        std::string(ggml_type_name(type)) + ": an expert has other bits with " + std::to_string(threads) + " threads");
            }
        }
    }
}

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
    std::printf("%s: %.1e\n", name.c_str(), worst);
    require(worst < tolerance, name + " differs from that in double precision");
    const size_t row = static_cast<size_t>(shape.heads * shape.value_size);
    for (int64_t rows = 1; rows < shape.positions; ++rows) {
        const int64_t first = rows * 7 % (shape.positions - rows + 1);
        const int threads = static_cast<int>(rows % 3) + 1;
        const std::vector<float> some = attention.compute(first, first + rows, threads);
        require(std::memcmp(some.data(), all.data() + static_cast<size_t>(first) * row, some.size() * sizeof(float)) == 0,
                name + ": " + std::to_string(rows) + " positions have other bits than in the whole batch");
    }
    for (CpuLevel level : { CpuLevel::avx2, CpuLevel::avx512 }) {
        for (int64_t together : { int64_t{1}, shape.key_heads }) {
            require(level > best_cpu_level() || attention.compute(level, together) == all,
                    name + " has other bits with level " + std::to_string(static_cast<int>(level)) + ", "
                        + std::to_string(together) + " heads of keys together");
        }
    }
}

void check_refusals() {
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init({ 16 * ggml_tensor_overhead(), nullptr, true }), ggml_free);
    ggml_tensor * experts = ggml_new_tensor_3d(context.get(), GGML_TYPE_Q8_0, 64, 32, 4);
    ggml_tensor * x = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, 64, 2, 8);
    ggml_tensor * ids = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, 2, 8);
    ggml_tensor * product = ggml_mul_mat_id(context.get(), experts, x, ids);
    ggml_tensor * weights = ggml_new_tensor_2d(context.get(), GGML_TYPE_Q8_0, 64, 32);
    ggml_tensor * dense = ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, 64, 8));
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_buft_alloc_buffer(ggml_backend_cpu_get_extra_buffer_types().front(), 0), ggml_backend_buffer_free);
    experts->buffer = buffer.get();
    weights->buffer = buffer.get();
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
    ggml_tensor * whole = ggml_mul_mat(context.get(), experts, ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, 64, 2, 4));
    require(!ggml_backend_dev_supports_op(device, whole), "matrices of several layers stay with llama.cpp");
    require(ggml_backend_dev_supports_op(device, product) && ggml_backend_dev_supports_op(device, dense), "experts and others do not");
    const PlainWeights plain;
    require(!ggml_backend_dev_supports_op(device, product) && !ggml_backend_dev_supports_op(device, dense),
            "all weights stay with llama.cpp when that is asked for");
}

/// Adapters, and stacks of them, for a random model.
class Adapters {
public:
    Adapters(llama_model * model, const ModelShape & shape, const std::string & file) {
        const std::vector<std::string> targets = targets_of(shape);
        for (int i = 0; i < count; ++i) {
            write_adapter(file, shape, { 8 + 8 * i, 16, GGML_TYPE_F16, i == 1 ? GGML_TYPE_F32 : GGML_TYPE_F16, targets }, 100 + i);
            adapters_.emplace_back(llama_adapter_lora_init(model, file.c_str()), llama_adapter_lora_free);
            std::filesystem::remove(file);
            require(adapters_.back() != nullptr, "an adapter is loaded");
            if (i > 0) {
                prepare_for_sequences(*adapters_.back()); // the first stays as it is in the file
            }
        }
    }

    /// One of twelve.
    std::vector<ScaledAdapter> stack(size_t index) const {
        static const std::vector<std::vector<std::pair<size_t, float>>> stacks = { {}, { { 0, 1 } }, { { 1, 1 } }, { { 2, 1 } },
            { { 3, 1 } }, { { 1, 0.5f } }, { { 0, 1 }, { 1, 1 } }, { { 1, 1 }, { 0, 1 } }, { { 3, 0.7f }, { 2, 1 } }, { { 2, -1 } },
            { { 0, 1 }, { 1, 0.3f }, { 2, 0.2f }, { 3, 0.1f } }, { { 3, 1 }, { 1, 2 } } };
        std::vector<ScaledAdapter> stack;
        for (const auto & [adapter, scale] : stacks[index % stacks.size()]) {
            stack.push_back({ adapters_[adapter].get(), scale });
        }
        return stack;
    }

private:
    static constexpr int count = 4;
    std::vector<std::unique_ptr<llama_adapter_lora, decltype(&llama_adapter_lora_free)>> adapters_;
};

/// A prompt with the answer that follows it, under a stack.
struct Record {
    std::vector<llama_token> tokens;
    size_t stack;
    size_t shared = 0; // tokens at its beginning that are those of the record before, which has the same stack
};

/// The logits after the last tokens of records.
class Decoding {
public:
    Decoding(llama_model * model, const Adapters & adapters, int sequences, int cells, int threads, int batch)
        : batch_(batch), sequences_(sequences), adapters_(adapters), context_(create(model, sequences, cells, threads, batch), llama_free),
          stacks_(context_.get()), cells_(context_.get()) {
        const std::string dependence = batch_dependence(llama_graph_reserve(context_.get(), batch, sequences, sequences));
        require(dependence.empty(), dependence);
    }

    /// As many records as there are sequences, together; each batch takes random numbers of tokens of random records. A record
    /// takes the cells of a beginning that the record before has already.
    std::vector<std::vector<float>> decode(const std::vector<Record> & records, std::mt19937 & random) {
        require(records.size() <= static_cast<size_t>(sequences_), "there is a sequence for each record");
        llama_memory_clear(llama_get_memory(context_.get()), true);
        std::vector<std::vector<float>> logits(records.size());
        std::vector<size_t> done(records.size()), computed(records.size()); // of which the latter have cells
        for (size_t i = 0; i < records.size(); ++i) {
            stacks_.set(static_cast<llama_seq_id>(i), adapters_.stack(records[i].stack));
        }
        std::vector<size_t> open(records.size());
        std::iota(open.begin(), open.end(), 0);
        while (!open.empty()) {
            llama_batch tokens = llama_batch_init(batch_, 0, 1);
            while (tokens.n_tokens < batch_ && !open.empty()) {
                const size_t at = random() % open.size(), i = open[at], size = records[i].tokens.size();
                if (done[i] == 0 && i > 0 && records[i].shared > 0 && computed[i - 1] >= records[i].shared) {
                    cells_.copy(static_cast<llama_seq_id>(i - 1), static_cast<llama_seq_id>(i), static_cast<llama_pos>(records[i].shared));
                    done[i] = records[i].shared;
                    copied_ += done[i];
                }
                const size_t most = random() % 3 == 0 ? 1 : 1 + random() % 200;
                const size_t count = std::min<size_t>({ size - done[i], most, static_cast<size_t>(batch_ - tokens.n_tokens) });
                for (size_t n = 0; n < count; ++n, ++tokens.n_tokens, ++done[i]) {
                    tokens.token[tokens.n_tokens] = records[i].tokens[done[i]];
                    tokens.pos[tokens.n_tokens] = static_cast<llama_pos>(done[i]);
                    tokens.n_seq_id[tokens.n_tokens] = 1;
                    tokens.seq_id[tokens.n_tokens][0] = static_cast<llama_seq_id>(i);
                    tokens.logits[tokens.n_tokens] = done[i] + last_tokens >= size;
                }
                if (done[i] == size) {
                    open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
                }
            }
            require(llama_decode(context_.get(), tokens) == 0, "a batch is decoded");
            llama_synchronize(context_.get());
            computed = done;
            for (int t = 0; t < tokens.n_tokens; ++t) {
                if (tokens.logits[t]) {
                    const float * values = llama_get_logits_ith(context_.get(), t);
                    std::vector<float> & all = logits[static_cast<size_t>(tokens.seq_id[t][0])];
                    all.insert(all.end(), values, values + vocabulary);
                }
            }
            llama_batch_free(tokens);
        }
        return logits;
    }

    /// Tokens whose cells were copied.
    size_t copied() const { return copied_; }

    static constexpr int vocabulary = 1000;
    static constexpr size_t last_tokens = 4;

private:
    static llama_context * create(llama_model * model, int sequences, int cells, int threads, int batch) {
        llama_context_params params = llama_context_default_params();
        params.n_seq_max = static_cast<uint32_t>(sequences);
        params.n_ctx = static_cast<uint32_t>(cells * sequences);
        params.n_batch = static_cast<uint32_t>(batch);
        params.n_ubatch = static_cast<uint32_t>(batch);
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.kv_unified = false;
        return llama_init_from_model(model, params);
    }

    const int batch_;
    const int sequences_;
    const Adapters & adapters_;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context_;
    SequenceAdapters stacks_;
    PrefixCells cells_;
    size_t copied_ = 0;
};

/// A file that is removed at the end.
struct TemporaryFile {
    const std::string path =
        (std::filesystem::temp_directory_path() / ("packed_parity." + std::to_string(getpid()) + ".gguf")).string();

    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

std::unique_ptr<llama_model, decltype(&llama_model_free)> load(const std::string & file) {
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_NONE;
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model(llama_model_load_from_file(file.c_str(), params), llama_model_free);
    require(model != nullptr, "the model is loaded");
    return model;
}

/// The logits after some tokens.
std::vector<float> logits_after_tokens(llama_model * model, int vocabulary) {
    constexpr int count = 50;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_threads = 2;
    params.n_threads_batch = 2;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(model, params), llama_free);
    require(context != nullptr, "a context is created");
    std::vector<llama_token> tokens(count);
    for (int i = 0; i < count; ++i) {
        tokens[static_cast<size_t>(i)] = (i * 7 + 3) % vocabulary;
    }
    require(llama_decode(context.get(), llama_batch_get_one(tokens.data(), count)) == 0, "tokens are decoded");
    const float * logits = llama_get_logits_ith(context.get(), -1);
    return std::vector<float>(logits, logits + vocabulary);
}

/// A model that is loaded with packed weights, as far as it has some, and one that is not: nearly the same, and exactly if it
/// has none.
void check_against_plain(const std::string & name, const ModelShape & shape, bool has_packed) {
    const TemporaryFile file;
    write_model(file.path, shape, 30);
    const auto packed_model = load(file.path);
    const std::vector<float> packed = logits_after_tokens(packed_model.get(), static_cast<int>(shape.vocab));
    const PlainWeights plain_weights;
    const auto plain_model = load(file.path);
    const std::vector<float> plain = logits_after_tokens(plain_model.get(), static_cast<int>(shape.vocab));
    double differences = 0, values = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
        const double difference = static_cast<double>(packed[i]) - static_cast<double>(plain[i]);
        differences += difference * difference;
        values += static_cast<double>(plain[i]) * static_cast<double>(plain[i]);
    }
    const double relative = std::sqrt(differences / values);
    std::printf("%s: %.1e of the logits without packed weights\n", name.c_str(), relative);
    require(values > 0 && relative < 0.03, name + " has the logits of a model without packed weights");
    require((relative != 0) == has_packed, name + (has_packed ? " is computed with" : " is left without") + " packed weights");
}

void check_other_models() {
    for (ggml_type type : { GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_IQ3_XXS, GGML_TYPE_TQ2_0,
                            GGML_TYPE_MXFP4, GGML_TYPE_NVFP4 }) {
        check_against_plain(std::string("a model of ") + ggml_type_name(type), { 256, 1, 4, 2, 256, 300, type }, false);
    }
    check_against_plain("a tied model of q2_K", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q2_K, true }, false);
    check_against_plain("rows in no whole panels", { 96, 2, 3, 1, 224, 999, GGML_TYPE_Q8_0 }, true);
    check_against_plain("columns in no whole blocks", { 80, 1, 5, 5, 144, 333, GGML_TYPE_F16 }, false);
    check_against_plain("some columns in no whole blocks", { 96, 1, 3, 3, 144, 333, GGML_TYPE_F32 }, true);
    check_against_plain("heads of 40", { 160, 1, 4, 2, 160, 300, GGML_TYPE_Q8_0 }, true);
    check_against_plain("a tied model of q6_K", { 256, 1, 4, 2, 256, 301, GGML_TYPE_Q6_K, true }, true);
    check_against_plain("one matrix for q, k and v", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q5_K, false, true }, true);
    check_against_plain("experts", { 128, 2, 4, 2, 96, 300, GGML_TYPE_Q8_0, false, false, 5 }, true);
    check_against_plain("q2_K with q6_K", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q2_K, false, false, 0, 0, GGML_TYPE_Q6_K }, true);
}

/// Compares so many records of a random model alone and in random batches of 1 to 32 records. Returns the number of compared
/// logits.
size_t check_model(ggml_type type, int count, int longest, uint32_t seed) {
    ModelShape shape = { 256, 2, 4, 2, 512, Decoding::vocabulary, type, type == GGML_TYPE_Q8_0 };
    if (type == GGML_TYPE_Q4_K) {
        shape.better = GGML_TYPE_Q6_K; // as in Q4_K_M
    }
    const TemporaryFile file;
    write_model(file.path, shape, seed);
    const auto model = load(file.path);
    const Adapters adapters(model.get(), shape, file.path);

    std::mt19937 random(seed);
    const int cells = (longest + 255) / 256 * 256;
    std::vector<Record> records(static_cast<size_t>(count));
    for (size_t i = 0; i < records.size(); ++i) {
        records[i].stack = i / 2;
        records[i].tokens.resize(5 + random() % static_cast<uint32_t>(longest - 4));
        for (llama_token & token : records[i].tokens) {
            token = static_cast<llama_token>(random() % Decoding::vocabulary);
        }
        if (i % 2 == 1) {
            const std::vector<llama_token> & before = records[i - 1].tokens;
            const size_t most = std::min(before.size(), records[i].tokens.size() - Decoding::last_tokens);
            records[i].shared = 1 + random() % most;
            std::copy_n(before.begin(), records[i].shared, records[i].tokens.begin());
        }
    }
    Decoding whole(model.get(), adapters, 1, cells, 1, cells);
    std::vector<std::vector<float>> alone;
    for (const Record & record : records) {
        alone.push_back(whole.decode({ record }, random).front());
    }
    size_t compared = 0;
    std::vector<std::unique_ptr<Decoding>> ways; // of decoding them together
    for (int threads = 1; threads <= 3; ++threads) {
        for (int batch : { 33, 256, 1024 }) {
            ways.push_back(std::make_unique<Decoding>(model.get(), adapters, 32, cells, threads, batch));
        }
    }
    for (size_t first = 0, turn = 0; first < records.size(); ++turn) {
        const size_t size = std::min<size_t>(records.size() - first, 1 + random() % 32);
        const std::vector<Record> some(records.begin() + static_cast<std::ptrdiff_t>(first), records.begin() + static_cast<std::ptrdiff_t>(first + size));
        const std::vector<std::vector<float>> logits = ways[turn % ways.size()]->decode(some, random);
        for (size_t i = 0; i < size; ++i) {
            require(logits[i].size() == alone[first + i].size()
                        && std::memcmp(logits[i].data(), alone[first + i].data(), logits[i].size() * sizeof(float)) == 0,
                    std::string("a ") + ggml_type_name(type) + " model: record " + std::to_string(first + i) + " of "
                        + std::to_string(records[first + i].tokens.size()) + " tokens among " + std::to_string(size) + ", way "
                        + std::to_string(turn % ways.size()) + ", has other logits than alone");
            compared += logits[i].size();
        }
        first += size;
    }
    size_t copied = 0;
    for (const std::unique_ptr<Decoding> & way : ways) {
        copied += way->copied();
    }
    require(copied > 0, "some cells are copied");
    std::printf("a %s model: %d records, %zu logits with the same bits alone and together, %zu tokens copied\n", ggml_type_name(type), count,
                compared, copied);
    std::fflush(stdout);
    return compared;
}

} // namespace

int main(int argc, char ** argv) {
    try {
        if (best_packed_level() == PackedLevel::none) {
            std::puts("this machine has no packed kernels\nPASSED");
            return EXIT_SUCCESS;
        }
        use_packed_weights();
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        // packed_parity RECORDS [FORMAT]: that many and longer records, of the formats that most files have
        if (argc > 1) {
            for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_F16 }) {
                if (argc == 2 || std::strcmp(argv[2], ggml_type_name(type)) == 0) {
                    check_model(type, std::atoi(argv[1]), 900, 10);
                }
            }
            std::puts("PASSED");
            return EXIT_SUCCESS;
        }
        for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_F16,
                                GGML_TYPE_BF16, GGML_TYPE_F32 }) {
            for (Shape shape : { Shape{ 32, 16 }, Shape{ 96, 7 }, Shape{ 576, 200 }, Shape{ 1536, 33 } }) {
                check(type, shape, 1);
            }
        }
        for (ggml_type type : { GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K }) {
            for (Shape shape : { Shape{ 256, 16 }, Shape{ 512, 7 }, Shape{ 2048, 40 } }) {
                check(type, shape, 2);
            }
        }
        for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q4_K,
                                GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_F32 }) {
            check_not_finite(type);
        }
        for (ggml_type type : { GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_F32 }) {
            check_weight_not_finite(type);
        }
        check_levels();
        for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q5_1, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_F16 }) {
            check_experts(type, 1);
            check_experts(type, 2);
        }
        check_attention({ 9, 3, 64, 64, 256, 40 });
        check_attention({ 8, 2, 48, 48, 75, 33 });
        check_attention({ 4, 4, 128, 112, 512, 20 });
        check_refusals();
        check_other_models();
        for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                                GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_F32 }) {
            check_model(type, 36, 150, 8);
        }
        std::puts("PASSED");
        return EXIT_SUCCESS;
    } catch (const std::exception & e) {
        std::printf("FAILED: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
