// Makes our kernels a device of llama.cpp's test-backend-ops, which compares the operations of devices with ggml's reference.
// They belong to the CPU, which is that reference: the device PACKED computes with them, and the CPU without.
// Linked with that program's source, see CMakeLists.txt.

#include "attention.h"
#include "gate_kernels.h"
#include "our_kernels.h"

#include "ggml-backend-impl.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"

#include <cstring>
#include <utility>
#include <vector>

namespace {

using namespace llamafu;

constexpr int threads = 3;
constexpr const char * device_name = "PACKED";

ggml_backend_dev_t cpu() {
    return ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0);
}

/// Our operations are first in ggml's list while one exists.
struct OurKernels {
    OurKernels() { use_our_kernels(true); }
    ~OurKernels() { use_our_kernels(false); }
};

ggml_backend_buffer_type_t packed_type() {
    return ggml_backend_cpu_get_extra_buffer_types().front();
}

bool is_of_weights(const ggml_tensor * node) {
    return node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID || node->op == GGML_OP_GET_ROWS;
}

bool is_gate(const ggml_tensor * node) {
    return node->op == GGML_OP_GLU && ggml_get_glu_op(node) == GGML_GLU_OP_SWIGLU && node->src[0]->type == GGML_TYPE_F32;
}

/// The weights of nodes in our buffer, in place of those in ggml's layout while it exists.
class PackedWeights {
public:
    explicit PackedWeights(size_t nodes) : context_(ggml_init({ nodes * ggml_tensor_overhead(), nullptr, true })) {}

    ~PackedWeights() {
        for (auto [node, weights] : originals_) {
            node->src[0] = weights;
        }
    }

    void take(ggml_tensor * node) {
        ggml_tensor * weights = node->src[0];
        originals_.emplace_back(node, weights);
        node->src[0] = ggml_new_tensor(context_.get(), weights->type, GGML_MAX_DIMS, weights->ne);
        ggml_set_name(node->src[0], "token_embd.weight"); // which is multiplied and looked up
    }

    void pack() {
        buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), packed_type()));
        for (auto [node, weights] : originals_) {
            ggml_backend_tensor_set(node->src[0], weights->data, 0, ggml_nbytes(weights));
        }
    }

private:
    const ggml_context_ptr context_;
    ggml_backend_buffer_ptr buffer_;
    std::vector<std::pair<ggml_tensor *, ggml_tensor *>> originals_;
};

/// Whether ggml would compute a node with packed weights.
bool supports_packed(ggml_tensor node) {
    if (!ggml_is_contiguous(node.src[0])) {
        return false; // a view, which no weights are
    }
    const OurKernels ours;
    PackedWeights packed(1);
    packed.take(&node);
    const ggml_backend_buffer_ptr buffer(ggml_backend_buft_alloc_buffer(packed_type(), 0));
    node.src[0]->buffer = buffer.get();
    return ggml_backend_dev_supports_op(cpu(), &node);
}

bool supports(ggml_backend_dev_t, const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_RESHAPE:
        case GGML_OP_VIEW:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
        case GGML_OP_ADD: // as in cases of several operations
        case GGML_OP_ADD_ID:
        case GGML_OP_MUL:
        case GGML_OP_RMS_NORM: // ours where MUL follows
            return true;
        case GGML_OP_FLASH_ATTN_EXT:
            return is_our_attention(node);
        case GGML_OP_GLU:
            return is_gate(node);
        default:
            return is_of_weights(node) && supports_packed(*node);
    }
}

float * row_of(const ggml_tensor * tensor, int64_t row) {
    return reinterpret_cast<float *>(static_cast<char *>(tensor->data) + row * tensor->nb[1]);
}

/// As ggml computes it. The linker's replacement of its function for rows would change the reference as well.
void compute_gate(const ggml_tensor * node) {
    const int64_t count = node->ne[0];
    for (int64_t row = 0; row < ggml_nrows(node); ++row) {
        const float * x = row_of(node->src[0], row);
        const float * gate = node->src[1] != nullptr ? row_of(node->src[1], row) : x + count;
        if (ggml_get_op_params_i32(node, 1) != 0) {
            std::swap(x, gate);
        }
        gate_kernel(best_cpu_level())(count, x, gate, row_of(node, row));
    }
}

ggml_status (*compute_on_cpu)(ggml_backend_t, ggml_cgraph *) = nullptr;

/// Nodes without gates, and a product with packed weights behind them: norms of graphs with one are ours.
ggml_status compute_nodes(ggml_backend_t backend, ggml_cgraph * graph, int first, int last) {
    const ggml_context_ptr context(ggml_init({ size_t{ 1 } << 16, nullptr, false }));
    ggml_tensor * weights = ggml_new_tensor_2d(context.get(), GGML_TYPE_Q8_0, 32, 16);
    ggml_tensor * product = ggml_mul_mat(context.get(), weights, ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 32));
    std::memset(weights->data, 0, ggml_nbytes(weights));
    std::memset(product->src[1]->data, 0, ggml_nbytes(product->src[1]));
    product->flags |= GGML_TENSOR_FLAG_COMPUTE;

    std::vector<ggml_tensor *> nodes(graph->nodes + first, graph->nodes + last);
    nodes.push_back(product);
    const OurKernels ours;
    PackedWeights packed(nodes.size());
    for (ggml_tensor * node : nodes) {
        if (is_of_weights(node)) {
            packed.take(node);
        }
    }
    packed.pack();
    ggml_cgraph part = ggml_graph_view(graph, first, last);
    part.nodes = nodes.data();
    part.n_nodes = static_cast<int>(nodes.size());
    return compute_on_cpu(backend, &part);
}

ggml_status compute(ggml_backend_t backend, ggml_cgraph * graph) {
    ggml_status status = GGML_STATUS_SUCCESS;
    int first = 0;
    for (int i = 0; i <= graph->n_nodes && status == GGML_STATUS_SUCCESS; ++i) {
        if (i == graph->n_nodes || is_gate(graph->nodes[i])) {
            status = compute_nodes(backend, graph, first, i);
            first = i + 1;
        }
        if (i < graph->n_nodes && is_gate(graph->nodes[i])) {
            compute_gate(graph->nodes[i]);
        }
    }
    return status;
}

ggml_backend_t init(ggml_backend_dev_t device, const char *) {
    static ggml_guid guid = { 0x70, 0x61, 0x63, 0x6b, 0x65, 0x64 };
    ggml_backend_t backend = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(backend, threads);
    compute_on_cpu = backend->iface.graph_compute;
    backend->iface.graph_compute = compute;
    backend->iface.get_name = [](ggml_backend_t) { return device_name; };
    backend->guid = &guid;
    backend->device = device;
    return backend;
}

ggml_backend_dev_t device_of(ggml_backend_reg_t registry, size_t) {
    static ggml_backend_device device = { cpu()->iface, registry, cpu()->context };
    device.iface.get_name = device.iface.get_description = [](ggml_backend_dev_t) { return device_name; };
    device.iface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; };
    device.iface.init_backend = init;
    device.iface.supports_op = supports;
    return &device;
}

/// Before test-backend-ops's main function.
[[maybe_unused]] const bool is_registered = [] {
    static ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, {}, nullptr };
    registry.iface.get_name = [](ggml_backend_reg_t) { return device_name; };
    registry.iface.get_device_count = [](ggml_backend_reg_t) { return size_t{ 1 }; };
    registry.iface.get_device = device_of;
    registry.iface.get_proc_address = [](ggml_backend_reg_t, const char *) -> void * { return nullptr; };
    ggml_backend_register(&registry);
    return true;
}();

} // namespace
