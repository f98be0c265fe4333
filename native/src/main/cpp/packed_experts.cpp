#include "packed_experts.h"

#include "packed_formats.h"
#include "packed_kernels.h"
#include "work_sharing.h"

#include <algorithm>
#include <numeric>

namespace llamafu {

namespace {

/// The rows of each expert are multiplied in tiles, as if they were a batch of their own. A row is a choice: an activation
/// with one of its experts, in the order of the product's rows.
class Experts {
public:
    explicit Experts(const ggml_tensor * op)
        : weights_(op->src[0]), x_(op->src[1]), ids_(op->src[2]), y_(op), format_(*packed_format(weights_->type)),
          kernels_(best_packed_kernels()), experts_(weights_->ne[2]), rows_(ids_->ne[0] * ids_->ne[1]),
          blocks_(weights_->ne[0] / format_.block), row_words_(blocks_ * format_.words) {}

    size_t work_bytes(int threads) const {
        return (static_cast<size_t>(threads) * private_words() + static_cast<size_t>(rows_ * row_words_)) * sizeof(int32_t);
    }

    void compute(const ggml_compute_params * params) const {
        int32_t * memory = static_cast<int32_t *>(params->wdata);
        int32_t * own = memory + static_cast<size_t>(params->ith) * private_words();
        int32_t * tiles = memory + static_cast<size_t>(params->nth) * private_words();
        int32_t * starts = own;
        int32_t * order = starts + experts_ + 1;
        int32_t * active = order + rows_;
        float * products = reinterpret_cast<float *>(active + experts_);
        sort(starts, order); // which takes less time than to wait for another thread
        int64_t actives = 0;
        for (int64_t e = 0; e < experts_; ++e) {
            if (starts[e] < starts[e + 1]) {
                active[actives++] = static_cast<int32_t>(e);
            }
        }
        quantize(starts, order, rows_ * params->ith / params->nth, rows_ * (params->ith + 1) / params->nth, tiles);
        ggml_barrier(params->threadpool);
        const int64_t panels = (weights_->ne[1] + PackedFormat::panel_rows - 1) / PackedFormat::panel_rows;
        const int64_t chunks = std::min<int64_t>(panels, 2 * params->nth);
        Dealer(params, y_, actives * chunks).each([&](int64_t i) {
            const int64_t expert = active[i / chunks], chunk = i % chunks;
            multiply(expert, order + starts[expert], starts[expert + 1] - starts[expert], panels * chunk / chunks,
                     panels * (chunk + 1) / chunks, tiles + starts[expert] * row_words_, products);
        });
    }

private:
    /// Of a thread's work memory, in whole cache lines.
    size_t private_words() const {
        return static_cast<size_t>(2 * experts_ + 1 + rows_ + kernels_.max_width * PackedFormat::panel_rows + 15) / 16 * 16;
    }

    int32_t expert_of(int64_t row) const {
        const char * id = static_cast<const char *>(ids_->data) + row % ids_->ne[0] * ids_->nb[0] + row / ids_->ne[0] * ids_->nb[1];
        const int32_t expert = *reinterpret_cast<const int32_t *>(id);
        GGML_ASSERT(expert >= 0 && expert < experts_);
        return expert;
    }

    /// The rows by expert; those of expert e are starts[e] <= i < starts[e + 1] in the order.
    void sort(int32_t * starts, int32_t * order) const {
        std::fill_n(starts, experts_ + 1, 0);
        for (int64_t row = 0; row < rows_; ++row) {
            starts[expert_of(row) + 1]++;
        }
        std::partial_sum(starts, starts + experts_ + 1, starts);
        for (int64_t row = 0; row < rows_; ++row) {
            order[starts[expert_of(row)]++] = static_cast<int32_t>(row);
        }
        std::copy_backward(starts, starts + experts_, starts + experts_ + 1); // each has become the next
        starts[0] = 0;
    }

    /// Places first <= i < last of the order.
    void quantize(const int32_t * starts, const int32_t * order, int64_t first, int64_t last, int32_t * tiles) const {
        for (int64_t e = 0; e < experts_; ++e) {
            for (int64_t i = std::max<int64_t>(first, starts[e]); i < std::min<int64_t>(last, starts[e + 1]); ++i) {
                const int64_t place = i - starts[e], in_tile = place % kernels_.max_width;
                const int width = static_cast<int>(std::min<int64_t>(kernels_.max_width, starts[e + 1] - i + in_tile));
                const char * x = static_cast<const char *>(x_->data) + order[i] % ids_->ne[0] % x_->ne[1] * x_->nb[1]
                    + order[i] / ids_->ne[0] * x_->nb[2];
                kernels_.quantize(format_, reinterpret_cast<const float *>(x), 0, blocks_, width, static_cast<int>(in_tile),
                                  tiles + (i - in_tile) * row_words_);
            }
        }
    }

    /// Some panels of an expert with all of its rows.
    void multiply(int64_t expert, const int32_t * order, int64_t count, int64_t first, int64_t last, const int32_t * tiles,
                  float * products) const {
        const size_t panel_bytes = format_.panel_bytes(weights_->ne[0]);
        const uint8_t * matrix = static_cast<const uint8_t *>(weights_->data)
            + static_cast<size_t>(expert) * format_.matrix_bytes(weights_->ne[0], weights_->ne[1]);
        for (int64_t p = first; p < last; ++p) {
            const int64_t output = p * PackedFormat::panel_rows;
            const int outputs = static_cast<int>(std::min(PackedFormat::panel_rows, weights_->ne[1] - output));
            for (int64_t row = 0; row < count; row += kernels_.max_width) {
                const int width = static_cast<int>(std::min<int64_t>(kernels_.max_width, count - row));
                kernels_.multiply(weights_->type, width)(matrix + static_cast<size_t>(p) * panel_bytes, blocks_, tiles + row * row_words_,
                                                         products, PackedFormat::panel_rows, outputs, {});
                for (int c = 0; c < width; ++c) {
                    char * y = static_cast<char *>(y_->data) + order[row + c] % ids_->ne[0] * y_->nb[1] + order[row + c] / ids_->ne[0] * y_->nb[2];
                    std::copy_n(products + c * PackedFormat::panel_rows, outputs, reinterpret_cast<float *>(y) + output);
                }
            }
        }
    }

    const ggml_tensor * weights_;
    const ggml_tensor * x_;
    const ggml_tensor * ids_;
    const ggml_tensor * y_;
    const PackedFormat & format_;
    const PackedKernels & kernels_;
    const int64_t experts_;
    const int64_t rows_;
    const int64_t blocks_;
    const int64_t row_words_;
};

} // namespace

size_t experts_work_bytes(const ggml_tensor * op, int threads) {
    return Experts(op).work_bytes(threads);
}

void compute_experts(const ggml_compute_params * params, const ggml_tensor * op) {
    Experts(op).compute(params);
}

} // namespace llamafu
