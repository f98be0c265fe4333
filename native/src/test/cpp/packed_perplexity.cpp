// What packed weights change of a model: packed_perplexity MODEL TEXT... computes the perplexity of texts with our kernels and
// with llama.cpp's own, and how often both find the same token likeliest. Fails if the perplexities differ by more than 0.1 %.
// A text is cut into windows of 512 tokens, of which the second half is counted.

#include "our_kernels.h"

#include "ggml-cpu.h"
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace llamafu;

namespace {

constexpr int window = 512;
constexpr double tolerance = 0.001;

using Model = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using Context = std::unique_ptr<llama_context, decltype(&llama_free)>;

struct Result {
    double surprise = 0; // sum of negative log-probabilities
    std::vector<llama_token> likeliest;

    double perplexity() const { return std::exp(surprise / static_cast<double>(likeliest.size())); }
};

std::vector<llama_token> tokens_of(const llama_model * model, const std::string & file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) {
        throw std::runtime_error("cannot read " + file);
    }
    const std::string content = text.str();
    std::vector<llama_token> tokens(content.size() + 8);
    const int count = llama_tokenize(llama_model_get_vocab(model), content.c_str(), static_cast<int32_t>(content.size()), tokens.data(),
                                     static_cast<int32_t>(tokens.size()), true, false);
    if (count < 0) {
        throw std::runtime_error("cannot tokenize " + file);
    }
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

void score(llama_context * context, const std::vector<llama_token> & tokens, size_t first, Result & result) {
    const int size = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
    llama_memory_clear(llama_get_memory(context), true);
    llama_batch batch = llama_batch_init(window, 0, 1);
    for (int i = 0; i < window; ++i, ++batch.n_tokens) {
        batch.token[i] = tokens[first + static_cast<size_t>(i)];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = i >= window / 2 && i + 1 < window;
    }
    const int status = llama_decode(context, batch);
    llama_batch_free(batch);
    if (status != 0) {
        throw std::runtime_error("decode fails");
    }
    for (int i = window / 2; i + 1 < window; ++i) {
        const float * logits = llama_get_logits_ith(context, i);
        const float * most = std::max_element(logits, logits + size);
        double sum = 0;
        for (int t = 0; t < size; ++t) {
            sum += std::exp(static_cast<double>(logits[t] - *most));
        }
        result.surprise += static_cast<double>(*most) + std::log(sum) - static_cast<double>(logits[tokens[first + static_cast<size_t>(i) + 1]]);
        result.likeliest.push_back(static_cast<llama_token>(most - logits));
    }
}

Result result_of(bool ours, const std::string & model_file, const std::vector<std::string> & texts) {
    use_our_kernels(true);
    std::optional<PlainWeights> plain;
    if (!ours) {
        plain.emplace();
    }
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_NONE;
    const Model model(llama_model_load_from_file(model_file.c_str(), params), llama_model_free);
    if (model == nullptr) {
        throw std::runtime_error("cannot load " + model_file);
    }
    use_our_kernels(ours);
    llama_context_params shape = llama_context_default_params();
    shape.n_ctx = shape.n_batch = shape.n_ubatch = window;
    const Context context(llama_init_from_model(model.get(), shape), llama_free);
    if (context == nullptr) {
        throw std::runtime_error("cannot create a context");
    }
    Result result;
    for (const std::string & text : texts) {
        const std::vector<llama_token> tokens = tokens_of(model.get(), text);
        for (size_t first = 0; first + window <= tokens.size(); first += window) {
            score(context.get(), tokens, first, result);
        }
    }
    if (result.likeliest.empty()) {
        throw std::runtime_error("the texts are shorter than a window");
    }
    return result;
}

} // namespace

int main(int argc, char ** argv) {
    try {
        if (argc < 3) {
            throw std::runtime_error("usage: packed_perplexity MODEL TEXT...");
        }
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        const std::vector<std::string> texts(argv + 2, argv + argc);
        const Result ours = result_of(true, argv[1], texts);
        const Result theirs = result_of(false, argv[1], texts);
        size_t same = 0;
        for (size_t i = 0; i < ours.likeliest.size(); ++i) {
            same += ours.likeliest[i] == theirs.likeliest[i];
        }
        const double difference = ours.perplexity() / theirs.perplexity() - 1;
        std::printf("%zu tokens: perplexity %.4f packed, %.4f not packed (%+.4f %%), the same likeliest token for %.2f %%\n",
                    ours.likeliest.size(), ours.perplexity(), theirs.perplexity(), 100 * difference,
                    100.0 * static_cast<double>(same) / static_cast<double>(ours.likeliest.size()));
        if (!(std::fabs(difference) <= tolerance)) {
            throw std::runtime_error("the perplexities differ");
        }
        std::puts("PASSED");
        return EXIT_SUCCESS;
    } catch (const std::exception & e) {
        std::printf("FAILED: %s\n", e.what());
        return EXIT_FAILURE;
    }
}
