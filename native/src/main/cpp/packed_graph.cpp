// Functions of ours that the linker puts in place of ggml's (CMakeLists.txt).

#include "gate_kernels.h"
#include "packed_weights.h"

#include "ggml-cpu.h"
#include "ggml-cpu/ggml-cpu-impl.h"

#include <cmath>
#include <cstring>

namespace {

using Floats = float __attribute__((vector_size(32)));
using Doubles = double __attribute__((vector_size(64)));
constexpr int64_t lanes = 8;

const char * row_of(const ggml_tensor * t, int64_t i1, int64_t i2, int64_t i3) {
    return static_cast<const char *>(t->data) + i1 % t->ne[1] * t->nb[1] + i2 % t->ne[2] * t->nb[2] + i3 % t->ne[3] * t->nb[3];
}

/// In an order that depends on neither the compiler nor the instruction set. ggml adds one square after the other, which takes
/// several times as long.
float mean_of_squares(const float * x, int64_t count) {
    Doubles sums[2] = {};
    int64_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
        for (int half = 0; half < 2; ++half) {
            Floats values;
            std::memcpy(&values, x + i + half * lanes, sizeof values);
            sums[half] += __builtin_convertvector(values * values, Doubles);
        }
    }
    sums[0] += sums[1];
    double sum = ((sums[0][0] + sums[0][4]) + (sums[0][2] + sums[0][6])) + ((sums[0][1] + sums[0][5]) + (sums[0][3] + sums[0][7]));
    for (; i < count; ++i) {
        const float square = x[i] * x[i];
        sum += static_cast<double>(square);
    }
    return static_cast<float>(sum / static_cast<double>(count));
}

void norm_and_multiply(const ggml_compute_params * params, const ggml_tensor * norm, ggml_tensor * product) {
    const ggml_tensor * x = norm->src[0];
    const ggml_tensor * factors = product->src[0] == norm ? product->src[1] : product->src[0];
    float epsilon;
    std::memcpy(&epsilon, norm->op_params, sizeof epsilon);
    const int64_t rows = ggml_nrows(x);
    for (int64_t row = rows * params->ith / params->nth; row < rows * (params->ith + 1) / params->nth; ++row) {
        const int64_t i1 = row % x->ne[1], i2 = row / x->ne[1] % x->ne[2], i3 = row / x->ne[1] / x->ne[2];
        const float * in = reinterpret_cast<const float *>(row_of(x, i1, i2, i3));
        const float * weights = reinterpret_cast<const float *>(row_of(factors, i1, i2, i3));
        float * out = reinterpret_cast<float *>(const_cast<char *>(row_of(product, i1, i2, i3)));
        const float scale = 1.0f / std::sqrt(mean_of_squares(in, x->ne[0]) + epsilon);
        for (int64_t i = 0; i < x->ne[0]; ++i) {
            out[i] = in[i] * scale * weights[i];
        }
    }
}

} // namespace

extern "C" {

void __real_ggml_vec_swiglu_f32(int count, float * y, const float * x, const float * gate);
void __wrap_ggml_vec_swiglu_f32(int count, float * y, const float * x, const float * gate);
double __wrap_ggml_vec_cvar_f32(int count, float * y, const float * x, float mean);
ggml_cplan __real_ggml_graph_plan(const ggml_cgraph * graph, int threads, ggml_threadpool * pool);
ggml_cplan __wrap_ggml_graph_plan(const ggml_cgraph * graph, int threads, ggml_threadpool * pool);
void __real_ggml_compute_forward_rms_norm_mul_fused(const ggml_compute_params * params, ggml_tensor * norm, ggml_tensor * product);
void __wrap_ggml_compute_forward_rms_norm_mul_fused(const ggml_compute_params * params, ggml_tensor * norm, ggml_tensor * product);

/// Its vector form rounds differently with each instruction set. x, y and gate are a row of a SwiGLU node.
void __wrap_ggml_vec_swiglu_f32(int count, float * y, const float * x, const float * gate) {
    static const llamafu::CpuLevel level = llamafu::best_cpu_level();
    if (level == llamafu::CpuLevel::plain) {
        __real_ggml_vec_swiglu_f32(count, y, x, gate);
    } else {
        llamafu::gate_kernel(level)(count, x, gate, y);
    }
}

/// So does its variance, of norms that subtract the mean, which it leaves in y.
double __wrap_ggml_vec_cvar_f32(int count, float * y, const float * x, float mean) {
    for (int i = 0; i < count; ++i) {
        y[i] = x[i] - mean;
    }
    return static_cast<double>(mean_of_squares(y, count));
}

/// ggml calls it for each graph before it is computed.
ggml_cplan __wrap_ggml_graph_plan(const ggml_cgraph * graph, int threads, ggml_threadpool * pool) {
    llamafu::mark_nodes(graph);
    return __real_ggml_graph_plan(graph, threads, pool);
}

/// ggml joins these two nodes before it asks whether somebody else computes them.
void __wrap_ggml_compute_forward_rms_norm_mul_fused(const ggml_compute_params * params, ggml_tensor * norm, ggml_tensor * product) {
    if (llamafu::is_marked(norm)) {
        norm_and_multiply(params, norm, product);
    } else {
        __real_ggml_compute_forward_rms_norm_mul_fused(params, norm, product);
    }
}

} // extern "C"
