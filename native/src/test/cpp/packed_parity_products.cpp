// Products of packed weights, of matrices and of experts, beside the same in double precision, for every format, instruction
// set, width of a tile and kind of remainder; and the same bits of a row alone and in batches, with any number of threads.

#include "packed_formats.h"
#include "packed_kernels.h"
#include "packed_parity.h"
#include "packed_weights.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-cpu/traits.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

namespace llamafu {

namespace {

constexpr int most_rows = 33;

struct Shape {
    int64_t columns;
    int64_t rows;
};

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

std::vector<uint8_t> quantized(ggml_type type, Shape shape, const std::vector<float> & values) {
    std::vector<uint8_t> data(ggml_row_size(type, shape.columns) * static_cast<size_t>(shape.rows));
    ggml_quantize_chunk(type, values.data(), data.data(), 0, shape.rows, shape.columns, nullptr);
    return data;
}

/// The same on every machine: how ggml rounds to blocks of 256 depends on the compiler, so they are random bits, whose scales are not.
std::vector<uint8_t> random_weights(ggml_type type, Shape shape, uint32_t seed) {
    if (ggml_blck_size(type) != 256) {
        return quantized(type, shape, random_values(static_cast<size_t>(shape.columns * shape.rows), seed));
    }
    std::vector<uint8_t> data(ggml_row_size(type, shape.columns) * static_cast<size_t>(shape.rows));
    std::mt19937 random(seed);
    for (uint8_t & byte : data) {
        byte = static_cast<uint8_t>(random());
    }
    const size_t size = ggml_type_size(type);
    for (size_t block = 0; block < data.size(); block += size) {
        for (size_t scale : { type == GGML_TYPE_Q6_K ? size - 2 : 0, type == GGML_TYPE_Q6_K ? size - 2 : 2 }) {
            data[block + scale + 1] = static_cast<uint8_t>(0x18 | (data[block + scale + 1] & 3)); // as F16, from 2^-9 to 2^-8
        }
    }
    return data;
}

/// Weights in our buffer type, and what ggml's own types say they are.
class Weights {
public:
    Weights(ggml_type type, Shape shape, uint32_t seed)
        : Weights(type, shape, random_weights(type, shape, seed)) {}

    Weights(ggml_type type, Shape shape, const std::vector<float> & values) : Weights(type, shape, quantized(type, shape, values)) {}

    Weights(ggml_type type, Shape shape, const std::vector<uint8_t> & data)
        : type(type), shape(shape), context_(ggml_init({ ggml_tensor_overhead(), nullptr, true }), ggml_free),
          tensor(ggml_set_name(ggml_new_tensor_2d(context_.get(), type, shape.columns, shape.rows), "token_embd.weight")), // a table, too
          buffer_(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_get_extra_buffer_types().front()),
                  ggml_backend_buffer_free) {
        floats.resize(static_cast<size_t>(shape.columns * shape.rows));
        if (type == GGML_TYPE_F32) { // which ggml does not convert
            std::memcpy(floats.data(), data.data(), data.size());
        } else {
            ggml_get_type_traits(type)->to_float(data.data(), floats.data(), static_cast<int64_t>(floats.size()));
        }
        ggml_backend_tensor_set(tensor, data.data(), 0, data.size());
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
                static_cast<int>(std::min(PackedFormat::panel_rows, rows - row)), {});
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
    std::printf("%-14s %.1e of the products' magnitudes, digest %s\n", name_of(weights).c_str(), worst, digest_of(products).c_str());
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
    for (PackedLevel level : { PackedLevel::avx2, PackedLevel::avx2_vnni, PackedLevel::avx512_vnni, PackedLevel::neon_dotprod,
                               PackedLevel::neon_i8mm }) {
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

struct ExpertsShape {
    int64_t columns;
    int64_t rows;
    int64_t experts; // of which no token has the last one
    int64_t used;
    int64_t tokens;
    int64_t inputs; // of a token: one for all of its experts, or one for each
};

/// Experts give each row the bits that a product with their own matrix gives.
void check_experts(ggml_type type, const ExpertsShape & shape) {
    const auto [columns, rows, experts, used, tokens, inputs_of_token] = shape;
    std::mt19937 random(40);
    std::vector<int32_t> chosen;
    for (int64_t t = 0; t < tokens; ++t) {
        const int64_t first = static_cast<int64_t>(random()) % (experts - 1);
        for (int64_t i = 0; i < used; ++i) {
            chosen.push_back(static_cast<int32_t>((first + i) % (experts - 1)));
        }
    }
    const std::vector<float> x = random_values(static_cast<size_t>(columns * inputs_of_token * tokens), 41);
    const std::vector<float> values = random_values(static_cast<size_t>(columns * rows * experts), 42);
    std::vector<std::vector<float>> products;
    std::vector<uint8_t> all;
    for (int64_t e = 0; e < experts; ++e) {
        const std::vector<float> own(values.begin() + e * columns * rows, values.begin() + (e + 1) * columns * rows);
        products.push_back(compute(Weights(type, { columns, rows }, own), GGML_OP_MUL_MAT, x.data(), inputs_of_token * tokens, 1));
        const std::vector<uint8_t> data = quantized(type, { columns, rows }, own);
        all.insert(all.end(), data.begin(), data.end());
    }
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> of_weights(ggml_init({ ggml_tensor_overhead(), nullptr, true }), ggml_free);
    ggml_tensor * weights = ggml_set_name(ggml_new_tensor_3d(of_weights.get(), type, columns, rows, experts), "ffn_up_exps.weight");
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> weights_buffer(
        ggml_backend_alloc_ctx_tensors_from_buft(of_weights.get(), ggml_backend_cpu_get_extra_buffer_types().front()), ggml_backend_buffer_free);
    ggml_backend_tensor_set(weights, all.data(), 0, all.size());
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
                require(std::memcmp(result.data() + i * rows, expected.data() + of_x * rows, static_cast<size_t>(rows) * sizeof(float)) == 0,
                        std::string(ggml_type_name(type)) + ": an expert has other bits with " + std::to_string(threads) + " threads");
            }
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

} // namespace

void check_products() {
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
    for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q5_1, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_F16 }) {
        for (const ExpertsShape & shape : { ExpertsShape{ 512, 40, 5, 2, 30, 1 }, ExpertsShape{ 512, 40, 5, 2, 30, 2 },
                                            ExpertsShape{ 256, 7, 9, 3, 1, 3 }, ExpertsShape{ 256, 33, 3, 1, 1, 1 },
                                            ExpertsShape{ 768, 17, 2, 1, 50, 1 }, ExpertsShape{ 256, 1, 70, 60, 2, 1 } }) {
            check_experts(type, shape);
        }
    }
    check_refusals();
}

} // namespace llamafu
