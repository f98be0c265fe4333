// A buffer type for weights, with the products of its tensors, as ggml's own repacking has it. ggml asks the operations of
// such types before it computes any node, so that attention comes in by the same door.

#include "packed_weights.h"

#include "attention.h"
#include "packed_experts.h"
#include "packed_formats.h"
#include "packed_kernels.h"
#include "product_delta.h"
#include "work_sharing.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-cpu/ggml-cpu-impl.h"
#include "ggml-cpu/traits.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace llamafu {

namespace {

thread_local int plain = 0;

ggml_backend_buffer_type_t buffer_type();

bool is_packed(const ggml_tensor * tensor) {
    return tensor != nullptr && tensor->buffer != nullptr && tensor->buffer->buft == buffer_type();
}

/// Whether graphs do nothing with a tensor of floats but multiply it: of some others they take views.
bool is_multiplied_only(std::string_view name) {
    for (const std::string_view end : { "token_embd.weight", "output.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_qkv.weight",
                                   "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight",
                                   "ffn_down_exps.weight" }) {
        if (name.size() >= end.size() && name.substr(name.size() - end.size()) == end) {
            return true;
        }
    }
    return false;
}

/// Whether our buffer type can hold a tensor: a matrix, or one for each expert.
bool is_packable(const ggml_tensor * tensor) {
    const PackedFormat * format = packed_format(tensor->type);
    return format != nullptr && tensor->view_src == nullptr && ggml_is_contiguous(tensor) && ggml_n_dims(tensor) <= 3
        && tensor->ne[0] % format->block == 0 && (!format->is_float() || is_multiplied_only(tensor->name));
}

/// Whether queries come from a product with packed weights, or from none: attention of other models is llama.cpp's.
bool is_of_packed_weights(const ggml_tensor * queries) {
    while (queries->src[0] != nullptr && queries->op != GGML_OP_MUL_MAT && queries->op != GGML_OP_MUL_MAT_ID) {
        queries = queries->src[0];
    }
    return queries->src[0] == nullptr || is_packed(queries->src[0]);
}

const char * row_of(const ggml_tensor * tensor, int64_t row) {
    const int64_t i1 = row % tensor->ne[1];
    const int64_t i2 = row / tensor->ne[1] % tensor->ne[2];
    const int64_t i3 = row / tensor->ne[1] / tensor->ne[2];
    return static_cast<const char *>(tensor->data) + i1 * tensor->nb[1] + i2 * tensor->nb[2] + i3 * tensor->nb[3];
}

/// One of some equal parts.
struct Part {
    int64_t index;
    int64_t count;
};

/// What a part has of `count` things.
struct Share {
    int64_t first;
    int64_t last;

    Share(Part part, int64_t count) : first(count * part.index / part.count), last(count * (part.index + 1) / part.count) {}
};

/// The parameter of a node that says whether it is marked.
constexpr int mark = GGML_MAX_OP_PARAMS / sizeof(int32_t) - 2;

/// A product of packed weights with rows of activations.
class Product {
public:
    /// At the beginning of the work memory, for each thread: what nodes between such products may write to.
    static constexpr size_t others_bytes = 4096;

    explicit Product(const ggml_tensor * op)
        : weights_(op->src[0]), x_(op->src[1]), y_(op), format_(*packed_format(weights_->type)), kernels_(best_packed_kernels()),
          rows_(ggml_nrows(x_)), blocks_(weights_->ne[0] / format_.block), width_(kernels_.max_width),
          tiles_((rows_ + width_ - 1) / width_), row_words_(blocks_ * format_.words),
          delta_(delta_of(op) != nullptr && delta_of(op)->is_needed() ? delta_of(op) : nullptr) {}

    size_t work_bytes(int threads) const {
        const size_t copies = is_small() ? static_cast<size_t>(threads) : 1;
        return static_cast<size_t>(threads) * others_bytes + copies * private_words() * sizeof(int32_t);
    }

    void compute(const ggml_compute_params * params) const {
        char * memory = static_cast<char *>(params->wdata) + static_cast<size_t>(params->nth) * others_bytes;
        int32_t * work = reinterpret_cast<int32_t *>(memory);
        if (is_small()) {
            work += static_cast<size_t>(params->ith) * private_words();
        }
        if (!is_marked(y_)) {
            const bool waits = prepare_group(params->ith, params->nth) || !is_small();
            quantize(is_small() ? Part { 0, 1 } : Part { params->ith, params->nth }, work);
            if (waits) {
                ggml_barrier(params->threadpool);
            }
        }
        const int64_t panels = (weights_->ne[1] + PackedFormat::panel_rows - 1) / PackedFormat::panel_rows;
        const int64_t chunks = params->nth * chunks_per_thread(panels / params->nth);
        ReadAhead ahead = reads_of_next_group(params->ith, params->nth);
        Dealer(params, y_, chunks).each([&](int64_t i) { compute_chunk(work, panels * i / chunks, panels * (i + 1) / chunks, ahead); });
    }

private:
    /// Of activations that each thread quantizes for itself, which takes less time than to wait for the others.
    static constexpr int64_t small_values = 4096;
    static constexpr size_t cached_bytes = 384 << 10; // of activations that stay in a core's cache beside a panel
    static constexpr size_t chunk_bytes = 96 << 10; // of weights, for one row: shorter streams from memory are slower
    static constexpr int64_t most_chunks = 8;
    static constexpr int64_t most_chunks_with_delta = 2; // so that what it reads of each adapter is a stream, too
    static constexpr int64_t least_panels_with_delta = 4; // whose outputs its kernels add to at a time

    bool is_small() const { return rows_ * weights_->ne[0] <= small_values; }

    /// Of a thread's work memory when it has its own, in whole cache lines.
    size_t private_words() const { return static_cast<size_t>(rows_ * row_words_ + 15) / 16 * 16; }

    int64_t chunks_per_thread(int64_t panels) const {
        const int64_t streams = panels * static_cast<int64_t>(format_.panel_bytes(weights_->ne[0])) / static_cast<int64_t>(chunk_bytes);
        const int64_t most = delta_ == nullptr ? most_chunks : std::min(most_chunks_with_delta, panels / least_panels_with_delta);
        return std::clamp<int64_t>(rows_ > 1 ? panels : streams, 1, std::max<int64_t>(1, most));
    }

    int width_of(int64_t tile) const { return static_cast<int>(std::min<int64_t>(width_, rows_ - tile * width_)); }

    void quantize(Part part, int32_t * work) const {
        const Share share(part, tiles_ * blocks_);
        for (int64_t i = share.first; i < share.last;) {
            const int64_t tile = i / blocks_;
            const int64_t first = i % blocks_;
            const int64_t last = std::min(blocks_, first + share.last - i);
            for (int c = 0; c < width_of(tile); ++c) {
                const float * row = reinterpret_cast<const float *>(row_of(x_, tile * width_ + c));
                kernels_.quantize(format_, row, first, last, width_of(tile), c, work + tile * width_ * row_words_);
            }
            i += last - first;
        }
    }

    /// First halves of the group that begins here; whether there are any.
    bool prepare_group(int ith, int nth) const {
        bool any = false;
        for (const ProductDelta * delta = delta_of(y_); delta != nullptr; delta = following(delta)) {
            if (delta->is_needed()) {
                delta->prepare(x_, ith, nth);
                any = true;
            }
        }
        return any;
    }

    /// The next of the same group.
    static const ProductDelta * following(const ProductDelta * delta) {
        return delta->next != nullptr && delta->next->place > 0 ? delta->next : nullptr;
    }

    ReadAhead reads_of_next_group(int ith, int nth) const {
        ReadAhead ahead;
        const ProductDelta * delta = delta_of(y_);
        while (delta != nullptr && following(delta) != nullptr) {
            delta = following(delta);
        }
        delta = delta != nullptr ? delta->next : nullptr;
        for (; delta != nullptr; delta = following(delta)) {
            delta->reads_of_prepare(ith, nth, ahead);
        }
        return ahead;
    }

    void compute_chunk(const int32_t * work, int64_t first, int64_t last, ReadAhead & next) const {
        if (delta_ == nullptr) {
            multiply(work, first, last, next);
            return;
        }
        const int64_t from = first * PackedFormat::panel_rows;
        const int64_t to = std::min(last * PackedFormat::panel_rows, weights_->ne[1]);
        ReadAhead ahead;
        delta_->reads_of_add(from, to, ahead);
        ahead.then(next);
        multiply(work, first, last, ahead);
        delta_->add(y_, from, to);
    }

    /// The first tile of a panel brings the next panel into the cache, the others what is read after the product.
    void multiply(const int32_t * work, int64_t first, int64_t last, ReadAhead & ahead) const {
        const size_t panel_bytes = format_.panel_bytes(weights_->ne[0]);
        const size_t tile_bytes = static_cast<size_t>(width_ * row_words_) * sizeof(int32_t);
        const int64_t step = static_cast<int64_t>(std::max<size_t>(1, cached_bytes / tile_bytes));
        const PackedMultiply full = kernels_.multiply(weights_->type, width_);
        const PackedMultiply rest = kernels_.multiply(weights_->type, width_of(tiles_ - 1));
        for (int64_t from = 0; from < tiles_; from += step) {
            const int64_t to = std::min(from + step, tiles_);
            for (int64_t p = first; p < last; ++p) {
                const uint8_t * panel = static_cast<const uint8_t *>(weights_->data) + p * panel_bytes;
                const int64_t row = p * PackedFormat::panel_rows;
                const int outputs = static_cast<int>(std::min(PackedFormat::panel_rows, weights_->ne[1] - row));
                for (int64_t tile = from; tile < to; ++tile) {
                    float * out = static_cast<float *>(y_->data) + tile * width_ * y_->ne[0] + row;
                    const int64_t bytes = static_cast<int64_t>(panel_bytes);
                    (tile + 1 < tiles_ ? full : rest)(panel, blocks_, work + tile * width_ * row_words_, out, y_->ne[0], outputs,
                                                      tile == from ? Ahead { panel + bytes, bytes } : ahead.take(bytes));
                }
            }
        }
    }

    const ggml_tensor * weights_;
    const ggml_tensor * x_;
    const ggml_tensor * y_;
    const PackedFormat & format_;
    const PackedKernels & kernels_;
    const int64_t rows_;
    const int64_t blocks_;
    const int64_t width_;
    const int64_t tiles_;
    const int64_t row_words_;
    const ProductDelta * const delta_; // null if it adds nothing in this step
};

void get_rows(const ggml_compute_params * params, const ggml_tensor * op) {
    const ggml_tensor * weights = op->src[0];
    const ggml_tensor * indexes = op->src[1];
    const Share share({ params->ith, params->nth }, ggml_nelements(indexes));
    for (int64_t i = share.first; i < share.last; ++i) {
        const char * column = row_of(indexes, i / indexes->ne[0]) + i % indexes->ne[0] * indexes->nb[0];
        const int32_t row = *reinterpret_cast<const int32_t *>(column);
        GGML_ASSERT(row >= 0 && row < weights->ne[1]);
        unpack_row(weights->type, static_cast<const uint8_t *>(weights->data), weights->ne[0], row,
                   static_cast<float *>(op->data) + i * op->ne[0]);
    }
}

class PackedOperation : public ggml::cpu::tensor_traits {
public:
    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        switch (op->op) {
            case GGML_OP_MUL_MAT: size = Product(op).work_bytes(threads); break;
            case GGML_OP_MUL_MAT_ID: size = experts_work_bytes(op, threads); break;
            default: size = 0; break;
        }
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        switch (op->op) {
            case GGML_OP_MUL_MAT: Product(op).compute(params); break;
            case GGML_OP_MUL_MAT_ID: compute_experts(params, op); break;
            default: get_rows(params, op); break;
        }
        return true;
    }
};

class Attention : public ggml::cpu::tensor_traits {
public:
    bool work_size(int threads, const ggml_tensor * op, size_t & size) override {
        size = attention_work_bytes(op, threads);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        compute_attention(params, op);
        return true;
    }
};

/// Whether a node between two products leaves the activations of the first as they are, and their quantized form, too.
bool leaves_activations(const ggml_tensor * node, const ggml_tensor * x) {
    if ((node->flags & GGML_TENSOR_FLAG_COMPUTE) == 0) {
        return true;
    }
    const ggml_tensor * base = x->view_src != nullptr ? x->view_src : x;
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_RESHAPE:
        case GGML_OP_VIEW:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
            return true;
        case GGML_OP_ROPE: // its tables of angles are in the work memory
            return node->view_src != base && (static_cast<size_t>(node->ne[0]) + 64) * sizeof(float) <= Product::others_bytes;
        case GGML_OP_ADD:
        case GGML_OP_MUL:
        case GGML_OP_RMS_NORM:
        case GGML_OP_CUSTOM: // of our LoRA
            return node->view_src != base && node->type == GGML_TYPE_F32 && node->src[0]->type == GGML_TYPE_F32;
        default:
            return false;
    }
}

/// What ggml asks before it keeps a weight in our buffer, or computes with it.
class Operations : public ggml::cpu::extra_buffer_type {
public:
    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        const ggml_tensor * weights = op->src[0];
        const ggml_tensor * x = op->src[1];
        const bool loading = weights != nullptr && weights->data == nullptr;
        if (!is_ours(op) || !is_packable(weights) || (weights->ne[2] > 1 && op->op != GGML_OP_MUL_MAT_ID) || (loading && plain > 0)
            || (x->buffer != nullptr && !ggml_backend_buft_is_host(x->buffer->buft))) {
            return false;
        }
        // Of tables only that of the tokens, which may be the output matrix as well: graphs take views of some others.
        if (op->op == GGML_OP_GET_ROWS && std::strcmp(weights->name, "token_embd.weight") != 0) {
            return false;
        }
        return x->type == (op->op == GGML_OP_GET_ROWS ? GGML_TYPE_I32 : GGML_TYPE_F32)
            && x->nb[0] == ggml_type_size(x->type) && op->type == GGML_TYPE_F32 && ggml_is_contiguous(op);
    }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        if (is_ours(op)) {
            return &packed_;
        }
        return is_our_attention(op) && is_of_packed_weights(op->src[0]) ? &attention_ : nullptr;
    }

private:
    static bool is_ours(const ggml_tensor * op) {
        return (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID || op->op == GGML_OP_GET_ROWS) && is_packed(op->src[0]);
    }

    PackedOperation packed_;
    Attention attention_;
};

void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor) && "packed weights are written whole");
    const size_t packed_bytes = packed_format(tensor->type)->matrix_bytes(tensor->ne[0], tensor->ne[1]);
    for (int64_t i = 0; i < tensor->ne[2]; ++i) {
        pack(tensor->type, static_cast<const char *>(data) + static_cast<size_t>(i) * tensor->nb[2], tensor->ne[0], tensor->ne[1],
             static_cast<uint8_t *>(tensor->data) + static_cast<size_t>(i) * packed_bytes);
    }
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer != nullptr) {
        buffer->buft = type;
        buffer->iface.set_tensor = set_tensor;
        buffer->iface.get_tensor = nullptr;
        buffer->iface.cpy_tensor = nullptr;
    }
    return buffer;
}

size_t bytes_of(ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
    return is_packable(tensor) ? packed_format(tensor->type)->matrix_bytes(tensor->ne[0], tensor->ne[1]) * static_cast<size_t>(tensor->ne[2])
                               : ggml_nbytes(tensor);
}

ggml_backend_buffer_type_t buffer_type() {
    static Operations operations;
    static ggml_backend_buffer_type type = {
        {
            [](ggml_backend_buffer_type_t) { return "CPU_PACKED"; },
            allocate,
            [](ggml_backend_buffer_type_t) -> size_t { return 64; },
            nullptr, // no limit
            bytes_of,
            nullptr, // no host memory: only our operations read it
        },
        ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
        static_cast<ggml::cpu::extra_buffer_type *>(&operations),
    };
    return &type;
}

} // namespace

void use_packed_weights() {
    std::vector<ggml_backend_buffer_type_t> & types = ggml_backend_cpu_get_extra_buffer_types();
    if (best_packed_level() != PackedLevel::none && std::find(types.begin(), types.end(), buffer_type()) == types.end()) {
        types.insert(types.begin(), buffer_type());
    }
}

bool is_marked(const ggml_tensor * node) {
    return node->op_params[mark] != 0;
}

bool is_packed_product(const ggml_tensor * node) {
    return node->op == GGML_OP_MUL_MAT && is_packed(node->src[0]);
}

void mark_nodes(const ggml_cgraph * const_graph) {
    ggml_cgraph * graph = const_cast<ggml_cgraph *>(const_graph); // ggml has no other accessor
    bool is_ours = false;
    ProductDelta * last = nullptr;
    const ggml_tensor * quantized = nullptr; // the product whose activations are in the work memory
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        if (is_packed_product(node)) {
            ProductDelta * delta = delta_of(node);
            const bool shares = quantized != nullptr && quantized->src[1] == node->src[1]
                && packed_format(quantized->src[0]->type)->shares_activations(*packed_format(node->src[0]->type));
            // the product before prepares for it
            const int place = shares && delta != nullptr && delta_of(quantized) != nullptr ? delta_of(quantized)->place + 1 : 0;
            node->op_params[mark] = shares && (delta == nullptr || (place > 0 && place < ProductDelta::most_places));
            if (delta != nullptr) {
                delta->place = is_marked(node) ? place : 0;
                delta->next = nullptr;
                if (last != nullptr) {
                    last->next = delta;
                }
                last = delta;
            }
            quantized = node;
            is_ours = true;
        } else if (quantized != nullptr && !leaves_activations(node, quantized->src[1])) {
            quantized = nullptr;
        }
    }
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        ggml_tensor * node = ggml_graph_node(graph, i);
        if (node->op == GGML_OP_RMS_NORM) {
            node->op_params[mark] = is_ours;
        }
    }
}

std::string batch_dependence(ggml_cgraph * graph) {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        switch (node->op) {
            case GGML_OP_NONE:
            case GGML_OP_RESHAPE:
            case GGML_OP_VIEW:
            case GGML_OP_PERMUTE:
            case GGML_OP_TRANSPOSE:
            case GGML_OP_CONT:
            case GGML_OP_CPY:
            case GGML_OP_DUP:
            case GGML_OP_GET_ROWS:
            case GGML_OP_SET_ROWS:
            case GGML_OP_ADD:
            case GGML_OP_SUB:
            case GGML_OP_MUL:
            case GGML_OP_DIV:
            case GGML_OP_SCALE:
            case GGML_OP_CLAMP:
            case GGML_OP_SQR:
            case GGML_OP_UNARY:
            case GGML_OP_GLU:
            case GGML_OP_NORM:
            case GGML_OP_RMS_NORM:
            case GGML_OP_ROPE:
            case GGML_OP_CUSTOM: // of our LoRA
                break;
            case GGML_OP_MUL_MAT:
                if (!is_packed(node->src[0])) {
                    return std::string("the product with ") + node->src[0]->name + " (" + ggml_type_name(node->src[0]->type)
                        + ") is not computed by a kernel of ours";
                }
                break;
            case GGML_OP_FLASH_ATTN_EXT:
                if (!is_our_attention(node) || !is_of_packed_weights(node->src[0])) {
                    return std::string("the attention ") + node->name + " is not computed by a kernel of ours";
                }
                break;
            default:
                return std::string("the operation ") + ggml_op_name(node->op) + " (" + node->name + ") has no fixed order";
        }
    }
    return {};
}

PlainWeights::PlainWeights() {
    plain++;
}

PlainWeights::~PlainWeights() {
    plain--;
}

} // namespace llamafu
