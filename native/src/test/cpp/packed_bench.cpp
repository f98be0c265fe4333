// Speed of products with packed weights beside ggml's own (its repacking, where it has one), on one thread unless told
// otherwise: packed_bench [THREADS [TYPE [BATCH]]]. Both alternate in one run, so that a busy machine slows both; figures are of the median.

#include "packed_weights.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-cpu/traits.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

using namespace llamafu;

namespace {

using Context = std::unique_ptr<ggml_context, decltype(&ggml_free)>;
using Buffer = std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>;

class Case {
public:
    Case(ggml_backend_t backend, ggml_backend_buffer_type_t type_of_buffer, ggml_type type, int64_t columns, int64_t rows, int64_t batch,
         int repetitions, const std::vector<uint8_t> & data)
        : backend_(backend), weights_(context()), nodes_(context()) {
        ggml_tensor * weights = ggml_new_tensor_2d(weights_.get(), type, columns, rows);
        weights_buffer_ = Buffer(ggml_backend_alloc_ctx_tensors_from_buft(weights_.get(), type_of_buffer), ggml_backend_buffer_free);
        ggml_backend_tensor_set(weights, data.data(), 0, data.size());
        ggml_tensor * x = ggml_new_tensor_2d(nodes_.get(), GGML_TYPE_F32, columns, batch);
        graph_ = ggml_new_graph(nodes_.get());
        for (int i = 0; i < repetitions; ++i) {
            ggml_build_forward_expand(graph_, ggml_mul_mat(nodes_.get(), weights, x));
        }
        nodes_buffer_ = Buffer(ggml_backend_alloc_ctx_tensors(nodes_.get(), backend), ggml_backend_buffer_free);
        std::vector<float> values(static_cast<size_t>(columns * batch));
        for (size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
        }
        ggml_backend_tensor_set(x, values.data(), 0, ggml_nbytes(x));
    }

    double run() {
        const auto start = std::chrono::steady_clock::now();
        ggml_backend_graph_compute(backend_, graph_);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

private:
    static Context context() { return Context(ggml_init({ 64 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }), ggml_free); }

    ggml_backend_t backend_;
    Context weights_;
    Context nodes_;
    Buffer weights_buffer_{ nullptr, ggml_backend_buffer_free };
    Buffer nodes_buffer_{ nullptr, ggml_backend_buffer_free };
    ggml_cgraph * graph_ = nullptr;
};

double median(std::vector<double> & values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// The first of ggml's own buffer types that takes a product with such weights.
ggml_backend_buffer_type_t own_type(ggml_type type, int64_t columns, int64_t rows) {
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
    const std::vector<ggml_backend_buffer_type_t> & types = ggml_backend_cpu_get_extra_buffer_types();
    for (size_t i = 1; i < types.size(); ++i) {
        const Context context(ggml_init({ 8 * ggml_tensor_overhead(), nullptr, true }), ggml_free);
        ggml_tensor * weights = ggml_new_tensor_2d(context.get(), type, columns, rows);
        const Buffer buffer(ggml_backend_buft_alloc_buffer(types[i], 0), ggml_backend_buffer_free);
        weights->buffer = buffer.get();
        if (ggml_backend_dev_supports_op(device,
                ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, 8)))) {
            return types[i];
        }
    }
    return ggml_backend_cpu_buffer_type();
}

} // namespace

int main(int argc, char ** argv) {
    use_packed_weights();
    ggml_backend_t backend = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(backend, argc > 1 ? std::atoi(argv[1]) : 1);
    std::puts("G multiply-adds per second");
    for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K }) {
        const bool small = type == GGML_TYPE_Q8_0 || type == GGML_TYPE_Q4_0;
        const std::vector<std::pair<int64_t, int64_t>> shapes = small
            ? std::vector<std::pair<int64_t, int64_t>>{ { 576, 576 }, { 576, 1536 }, { 1536, 576 }, { 2048, 5632 }, { 5632, 2048 }, { 576, 49152 } }
            : std::vector<std::pair<int64_t, int64_t>>{ { 2048, 2048 }, { 2048, 5632 }, { 5632, 2048 } };
        for (const auto & [columns, rows] : shapes) {
            std::vector<float> values(static_cast<size_t>(columns * rows));
            for (size_t i = 0; i < values.size(); ++i) {
                values[i] = static_cast<float>(i * 104729 % 1000) / 500 - 1;
            }
            std::vector<uint8_t> data(ggml_row_size(type, columns) * static_cast<size_t>(rows));
            ggml_quantize_chunk(type, values.data(), data.data(), 0, rows, columns, nullptr);
            for (int batch : { 1, 4, 16, 128, 512 }) {
                const double work = static_cast<double>(columns) * static_cast<double>(rows) * batch;
                if (work > 8e9 || (argc > 2 && std::strcmp(argv[2], ggml_type_name(type)) != 0) || (argc > 3 && std::atoi(argv[3]) != batch)) {
                    continue;
                }
                const int repetitions = std::max(1, std::min(16, static_cast<int>(5e8 / work)));
                Case own(backend, own_type(type, columns, rows), type, columns, rows, batch, repetitions, data);
                Case packed(backend, ggml_backend_cpu_get_extra_buffer_types().front(), type, columns, rows, batch, repetitions, data);
                std::vector<double> own_times, packed_times;
                for (double total = 0; total < 0.5 || own_times.size() < 5; total += own_times.back() + packed_times.back()) {
                    own_times.push_back(own.run());
                    packed_times.push_back(packed.run());
                }
                const double factor = work * repetitions * 1e-9;
                const double a = factor / median(own_times), b = factor / median(packed_times);
                std::printf("%-5s %5d x %4d, batch %3d: ggml %6.1f, packed %6.1f, %.2f times\n", ggml_type_name(type),
                            static_cast<int>(rows), static_cast<int>(columns), batch, a, b, b / a);
                std::fflush(stdout);
            }
        }
    }
    ggml_backend_free(backend);
    return 0;
}
