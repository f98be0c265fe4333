// Speed of a model with our kernels and with llama.cpp's own: model_bench MODEL [THREADS [ROUNDS [PROMPT]]]. Both alternate in one
// process, so that a busy machine slows both; figures are of the median. Link it with buffer_pages.cpp and its --wrap
// options (CMakeLists.txt), to place weights as the library does.
//   prefill: one sequence of 512 tokens; decode: 16 sequences, or one, after PROMPT tokens each

#include "our_kernels.h"

#include "ggml-cpu.h"
#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace llamafu;

namespace {

constexpr int sequences = 16;
constexpr int steps = 16;

double decode(llama_context * context, int from, int count, int first, int tokens) {
    llama_batch batch = llama_batch_init(count * tokens, 0, 1);
    for (int seq = from; seq < from + count; ++seq) {
        for (int pos = first; pos < first + tokens; ++pos) {
            const int i = batch.n_tokens++;
            batch.token[i] = (seq * 7919 + pos * 104729) % 30000 + 100;
            batch.pos[i] = pos;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = seq;
            batch.logits[i] = pos == first + tokens - 1;
        }
    }
    const auto start = std::chrono::steady_clock::now();
    if (llama_decode(context, batch) != 0) {
        std::fputs("decode fails\n", stderr);
        std::exit(EXIT_FAILURE);
    }
    llama_synchronize(context);
    const double time = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    llama_batch_free(batch);
    return time;
}

struct Way {
    const char * name;
    bool ours;
    llama_model * model = nullptr;
    llama_context * context = nullptr;
    std::vector<double> prefill = {}, sixteen = {}, one = {};
    std::vector<float> logits = {};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

} // namespace

int main(int argc, char ** argv) {
    const int threads = argc > 2 ? std::atoi(argv[2]) : 2;
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
    const int prompt = argc > 4 ? std::atoi(argv[4]) : 128;
    llama_log_set([](ggml_log_level level, const char * text, void *) { if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr); }, nullptr);
    use_our_kernels(true);
    Way ways[] = { { "llama.cpp", false }, { "ours", true } };
    for (Way & way : ways) {
        use_our_kernels(true);
        llama_model_params model = llama_model_default_params();
        model.load_mode = LLAMA_LOAD_MODE_NONE;
        {
            const PlainWeights * scope = way.ours ? nullptr : new PlainWeights();
            const auto start = std::chrono::steady_clock::now();
            way.model = llama_model_load_from_file(argv[1], model);
            std::printf("%-10s loaded in %.2f s\n", way.name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
            delete scope;
        }
        llama_context_params context = llama_context_default_params();
        context.n_seq_max = sequences;
        context.n_ctx = 1024 * sequences;
        context.n_batch = context.n_ubatch = 2048;
        context.n_threads = context.n_threads_batch = threads;
        context.kv_unified = false;
        context.no_perf = true;
        use_our_kernels(way.ours);
        way.context = llama_init_from_model(way.model, context);
    }
    for (int round = 0; round <= rounds; ++round) { // the first is not counted
        for (Way & way : ways) {
            use_our_kernels(way.ours);
            llama_memory_clear(llama_get_memory(way.context), true);
            const double prefill = decode(way.context, 0, 1, 0, 512);
            if (round == 0) {
                const float * logits = llama_get_logits_ith(way.context, -1);
                way.logits.assign(logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(way.model)));
            }
            llama_memory_clear(llama_get_memory(way.context), true);
            decode(way.context, 0, sequences, 0, prompt);
            std::vector<double> sixteen, one;
            for (int i = 0; i < steps; ++i) {
                sixteen.push_back(decode(way.context, 0, sequences, prompt + i, 1));
            }
            for (int i = 0; i < steps; ++i) {
                one.push_back(decode(way.context, 0, 1, prompt + steps + i, 1));
            }
            if (round > 0) {
                way.prefill.push_back(prefill);
                way.sixteen.push_back(median(sixteen));
                way.one.push_back(median(one));
            }
        }
    }
    for (const Way & way : ways) {
        std::printf("%-10s prefill %7.1f tokens/s, 16 sequences %7.1f, one %6.1f\n", way.name, 512 / median(way.prefill),
                    sequences / median(way.sixteen), 1 / median(way.one));
    }
    std::printf("ratio      prefill %.2f, 16 sequences %.2f, one %.2f\n", median(ways[0].prefill) / median(ways[1].prefill),
                median(ways[0].sixteen) / median(ways[1].sixteen), median(ways[0].one) / median(ways[1].one));
    const auto [low, high] = std::minmax_element(ways[0].logits.begin(), ways[0].logits.end());
    float worst = 0;
    for (size_t i = 0; i < ways[0].logits.size(); ++i) {
        worst = std::max(worst, std::fabs(ways[0].logits[i] - ways[1].logits[i]));
    }
    std::printf("logits differ by at most %.1e of their range\n", static_cast<double>(worst / (*high - *low)));
    return 0;
}
