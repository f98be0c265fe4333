#pragma once

#include "ggml.h"

#include <cstdint>
#include <string>
#include <vector>

namespace llamafu {

/// A llama-architecture model with random weights, for tests and benchmarks.
struct ModelShape {
    int64_t embd;
    int64_t layers;
    int64_t heads;
    int64_t kv_heads;
    int64_t ff;
    int64_t vocab;
    ggml_type type;
    bool tied_output = false;
    bool fused_qkv = false;
    int64_t experts = 0;
    int64_t experts_used = 2; // for each token
    ggml_type better = GGML_TYPE_COUNT; // of values, downward and output matrices, as in files of mixed formats; COUNT for `type`
};

struct AdapterShape {
    int64_t rank;
    float alpha; // 0 leaves it out
    ggml_type a_type;
    ggml_type b_type;
    std::vector<std::string> targets; // names of weights, as targets_of gives them
    bool widened = false;             // write the values of these types as F32
};

/// The names of all weights that LoRA can adapt.
std::vector<std::string> targets_of(const ModelShape & model);

void write_model(const std::string & path, const ModelShape & model, uint64_t seed);

void write_adapter(const std::string & path, const ModelShape & model, const AdapterShape & adapter, uint64_t seed);

} // namespace llamafu
