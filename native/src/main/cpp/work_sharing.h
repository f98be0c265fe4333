#pragma once

#include "ggml-cpu/ggml-cpu-impl.h"
#include "ggml.h"

#include <cstdint>

namespace llamafu {

/// Deals the numbers 0 <= i < count to the threads that compute a node, each first its own index. The counter lies in the
/// node, and is 0 again when every thread has got its last number, so that no barrier is needed to reset it.
class Dealer {
public:
    Dealer(const ggml_compute_params * params, const ggml_tensor * op, int64_t count)
        : counter_(const_cast<int32_t *>(op->op_params + last_parameter)), threads_(params->nth), count_(count), next_(params->ith) {}

    /// Calls `visit` with each number that this thread gets.
    template <class Visit>
    void each(Visit visit) {
        while (next_ < count_) {
            visit(next_);
            next_ = threads_ + draw();
        }
        if (next_ < threads_) { // more threads than numbers: the first draw is missing
            draw();
        }
    }

private:
    static constexpr int last_parameter = GGML_MAX_OP_PARAMS / sizeof(int32_t) - 1; // which no operation of ours has

    int32_t draw() {
        const int32_t number = __atomic_fetch_add(counter_, 1, __ATOMIC_RELAXED);
        // each thread draws once in vain, and there are count - threads numbers to draw
        const int64_t draws = (count_ > threads_ ? count_ - threads_ : 0) + threads_;
        if (number == draws - 1) {
            __atomic_store_n(counter_, 0, __ATOMIC_RELAXED);
        }
        return number;
    }

    int32_t * const counter_;
    const int64_t threads_;
    const int64_t count_;
    int64_t next_;
};

} // namespace llamafu
