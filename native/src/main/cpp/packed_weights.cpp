// A buffer type for weights, with the products of its tensors, as ggml's own repacking has it. ggml asks the operations of
// such types before it computes any node, so that attention comes in by the same door.

#include "packed_weights.h"

#include "attention.h"
#include "packed_formats.h"
#include "packed_kernels.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml-cpu/ggml-cpu-impl.h"
#include "ggml-cpu/traits.h"

#include <algorithm>
#include <cstring>

namespace llamafu {

namespace {

thread_local int plain = 0;

ggml_backend_buffer_type_t buffer_type();

const PackedKernels & best_kernels() {
    static const PackedKernels & kernels = packed_kernels(best_packed_level());
    return kernels;
}

bool is_packed(const ggml_tensor * tensor) {
    return tensor != nullptr && tensor->buffer != nullptr && tensor->buffer->buft == buffer_type();
}

/// Whether our buffer type can hold a tensor.
bool is_packable(const ggml_tensor * tensor) {
    const PackedFormat * format = packed_format(tensor->type);
    return format != nullptr && tensor->view_src == nullptr && ggml_is_contiguous(tensor) && ggml_n_dims(tensor) <= 2
        && tensor->ne[0] % format->block == 0;
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

/// The part of `count` things that a thread has.
struct Share {
    int64_t first;
    int64_t last;

    Share(const ggml_compute_params * params, int64_t count)
        : first(count * params->ith / params->nth), last(count * (params->ith + 1) / params->nth) {}
};

/// A product of packed weights with rows of activations.
class Product {
public:
    explicit Product(const ggml_tensor * op)
        : weights_(op->src[0]), x_(op->src[1]), y_(op), format_(*packed_format(weights_->type)), kernels_(best_kernels()),
          rows_(ggml_nrows(x_)), blocks_(weights_->ne[0] / format_.block), width_(kernels_.max_width),
          tiles_((rows_ + width_ - 1) / width_), row_words_(blocks_ * activation_words(format_)) {}

    size_t work_bytes() const { return static_cast<size_t>(rows_ * row_words_) * sizeof(int32_t); }

    void compute(const ggml_compute_params * params) const {
        int32_t * work = static_cast<int32_t *>(params->wdata);
        quantize(params, work);
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);
        const int64_t panels = (weights_->ne[1] + PackedFormat::panel_rows - 1) / PackedFormat::panel_rows;
        const int64_t chunk = std::max<int64_t>(1, panels / (chunks_per_thread * params->nth));
        for (int64_t first = chunk * params->ith; first < panels;
             first = chunk * ggml_threadpool_chunk_add(params->threadpool, 1)) {
            multiply(work, first, std::min(first + chunk, panels));
        }
    }

private:
    static constexpr int64_t chunks_per_thread = 8;
    static constexpr size_t cached_bytes = 384 << 10; // of activations that stay in a core's cache beside a panel

    int width_of(int64_t tile) const { return static_cast<int>(std::min<int64_t>(width_, rows_ - tile * width_)); }

    void quantize(const ggml_compute_params * params, int32_t * work) const {
        const Share share(params, tiles_ * blocks_);
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

    void multiply(const int32_t * work, int64_t first, int64_t last) const {
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
                    (tile + 1 < tiles_ ? full : rest)(panel, blocks_, work + tile * width_ * row_words_, out, y_->ne[0], outputs);
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
};

void get_rows(const ggml_compute_params * params, const ggml_tensor * op) {
    const ggml_tensor * weights = op->src[0];
    const ggml_tensor * indexes = op->src[1];
    const Share share(params, ggml_nelements(indexes));
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
    bool work_size(int, const ggml_tensor * op, size_t & size) override {
        size = op->op == GGML_OP_MUL_MAT ? Product(op).work_bytes() : 0;
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        if (op->op == GGML_OP_MUL_MAT) {
            Product(op).compute(params);
        } else {
            get_rows(params, op);
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

/// What ggml asks before it keeps a weight in our buffer, or computes with it.
class Operations : public ggml::cpu::extra_buffer_type {
public:
    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        const ggml_tensor * weights = op->src[0];
        const ggml_tensor * x = op->src[1];
        const bool loading = weights != nullptr && weights->data == nullptr;
        if ((op->op != GGML_OP_MUL_MAT && op->op != GGML_OP_GET_ROWS) || !is_packed(weights) || !is_packable(weights)
            || (loading && plain > 0) || (x->buffer != nullptr && !ggml_backend_buft_is_host(x->buffer->buft))) {
            return false;
        }
        // Of tables only that of the tokens, which may be the output matrix as well: graphs take views of some others.
        if (op->op == GGML_OP_GET_ROWS && std::strcmp(weights->name, "token_embd.weight") != 0) {
            return false;
        }
        return x->type == (op->op == GGML_OP_MUL_MAT ? GGML_TYPE_F32 : GGML_TYPE_I32)
            && x->nb[0] == ggml_type_size(x->type) && op->type == GGML_TYPE_F32 && ggml_is_contiguous(op);
    }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        if ((op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_GET_ROWS) && is_packed(op->src[0])) {
            return &packed_;
        }
        return is_our_attention(op) && is_of_packed_weights(op->src[0]) ? &attention_ : nullptr;
    }

private:
    PackedOperation packed_;
    Attention attention_;
};

void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor) && "packed weights are written whole");
    pack(tensor->type, data, tensor->ne[0], tensor->ne[1], static_cast<uint8_t *>(tensor->data));
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
    return is_packable(tensor) ? packed_format(tensor->type)->matrix_bytes(tensor->ne[0], tensor->ne[1]) : ggml_nbytes(tensor);
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

PlainWeights::PlainWeights() {
    plain++;
}

PlainWeights::~PlainWeights() {
    plain--;
}

} // namespace llamafu
