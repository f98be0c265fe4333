#pragma once

#include "packed_weights.h"

#include "ggml-backend-impl.h"
#include "ggml-cpu/traits.h"

#include <algorithm>
#include <vector>

namespace llamafu {

/// Takes our operations out of ggml's list, or puts them first, so that a program can compare both ways.
inline void use_our_kernels(bool ours) {
    static ggml_backend_buffer_type_t type = nullptr;
    std::vector<ggml_backend_buffer_type_t> & types = ggml_backend_cpu_get_extra_buffer_types();
    if (type == nullptr) {
        use_packed_weights();
        type = types.front();
    }
    types.erase(std::remove(types.begin(), types.end(), type), types.end());
    if (ours) {
        types.insert(types.begin(), type);
    }
}

} // namespace llamafu
