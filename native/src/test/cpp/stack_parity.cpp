// Compares two stacks of adapters, as llama.cpp's own LoRA applies them. Prints how far the logits of the second are
// from those of the first, and those of the first from the logits of the model alone, both relative to the range of the
// logits.
//   stack_parity MODEL STACK STACK    a stack is SCALE=FILE,SCALE=FILE...

#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int tokens = 48;

using ModelPtr = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using ContextPtr = std::unique_ptr<llama_context, decltype(&llama_free)>;
using AdapterPtr = std::unique_ptr<llama_adapter_lora, decltype(&llama_adapter_lora_free)>;

void require(bool condition, const std::string & message) {
    if (!condition) {
        throw std::runtime_error(message);
    }
}

std::vector<float> logits_of(llama_model * model, const std::string & stack) {
    std::vector<AdapterPtr> owned;
    std::vector<llama_adapter_lora *> adapters;
    std::vector<float> scales;
    std::istringstream entries(stack);
    for (std::string entry; std::getline(entries, entry, ',');) {
        const size_t equals = entry.find('=');
        require(equals != std::string::npos, "no SCALE=FILE: " + entry);
        scales.push_back(std::stof(entry.substr(0, equals)));
        owned.emplace_back(llama_adapter_lora_init(model, entry.c_str() + equals + 1), llama_adapter_lora_free);
        require(owned.back() != nullptr, "the adapter does not load: " + entry);
        adapters.push_back(owned.back().get());
    }

    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = tokens;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    ContextPtr context(llama_init_from_model(model, params), llama_free);
    require(context != nullptr, "no context");
    require(llama_set_adapters_lora(context.get(), adapters.data(), adapters.size(), scales.data()) == 0, "the stack is not accepted");

    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_batch batch = llama_batch_init(tokens, 0, 1);
    for (int i = 0; i < tokens; ++i) {
        batch.token[i] = (i * 7919 + 13) % vocabulary;
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = tokens;
    const int status = llama_decode(context.get(), batch);
    llama_batch_free(batch);
    require(status == 0, "it does not decode");
    const float * logits = llama_get_logits(context.get());
    return { logits, logits + static_cast<size_t>(tokens) * vocabulary };
}

double greatest_difference(const std::vector<float> & expected, const std::vector<float> & actual) {
    const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
    double greatest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
        const double difference = std::abs(expected[i] - actual[i]) / (*high - *low);
        greatest = std::isfinite(difference) ? std::max(greatest, difference) : INFINITY;
    }
    return greatest;
}

} // namespace

int main(int argc, char ** argv) {
    try {
        require(argc == 4, "usage: stack_parity MODEL STACK STACK");
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        ModelPtr model(llama_model_load_from_file(argv[1], llama_model_default_params()), llama_model_free);
        require(model != nullptr, "the model does not load");
        const std::vector<float> first = logits_of(model.get(), argv[2]);
        std::printf("%g %g\n", greatest_difference(first, logits_of(model.get(), argv[3])),
            greatest_difference(first, logits_of(model.get(), "")));
        return 0;
    } catch (const std::exception & e) {
        std::fprintf(stderr, "stack_parity: %s\n", e.what());
        return 1;
    }
}
