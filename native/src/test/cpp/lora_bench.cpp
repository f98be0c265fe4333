// Speed of mixed adapters in one batch on our kernels, compared with no adapter and with upstream's kernels and LoRA (one
// adapter for all). Usage: lora_bench FOLDER (135m | 1b) [STEPS] [THREADS]; the models are generated in FOLDER once. The
// cases alternate step by step, so that a busy machine slows all of them; each figure is the median over the steps. Link
// it with all kernels, buffer_pages.cpp and the --wrap options (CMakeLists.txt), to place weights as the library does.

#include "lora_routing.h"
#include "our_kernels.h"
#include "random_model.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

using namespace llamafu;

namespace {

constexpr int sequences = 16;
constexpr int adapter_count = 16;
constexpr int prompt = 8;
constexpr int prefill = 128;

struct Case {
    std::string name;
    llama_context * context;
    std::function<void()> prepare;
    bool ours;
    std::vector<double> decode_ms;
    std::vector<double> prefill_ms;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// One batch of `count` tokens of every sequence; milliseconds.
double decode(llama_context * context, int first, int count) {
    llama_batch batch = llama_batch_init(count * sequences, 0, 1);
    for (int seq = 0; seq < sequences; ++seq) {
        for (int pos = first; pos < first + count; ++pos) {
            const int i = batch.n_tokens++;
            batch.token[i] = (seq * 7919 + pos * 104729) % 32000;
            batch.pos[i] = pos;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = seq;
            batch.logits[i] = pos == first + count - 1;
        }
    }
    const auto start = std::chrono::steady_clock::now();
    if (llama_decode(context, batch) != 0) {
        std::fputs("decode fails\n", stderr);
        std::exit(EXIT_FAILURE);
    }
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    llama_batch_free(batch);
    return time.count();
}

llama_context * new_context(llama_model * model, int threads) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256 * sequences;
    params.n_batch = prefill * sequences;
    params.n_seq_max = sequences;
    params.n_threads = params.n_threads_batch = threads;
    params.kv_unified = true;
    return llama_init_from_model(model, params);
}

} // namespace

int main(int argc, char ** argv) {
    if (argc < 3) {
        std::fputs("usage: lora_bench FOLDER (135m | 1b) [STEPS] [THREADS]\n", stderr);
        return EXIT_FAILURE;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    const bool small = std::strcmp(argv[2], "135m") == 0;
    const int steps = argc > 3 ? std::atoi(argv[3]) : 40;
    const int threads = argc > 4 ? std::atoi(argv[4]) : 2;
    const ModelShape shape = small ? ModelShape { 576, 30, 9, 3, 1536, 32000, GGML_TYPE_Q8_0 }
                                   : ModelShape { 2048, 22, 32, 4, 5632, 32000, GGML_TYPE_Q4_0 };

    std::filesystem::create_directories(argv[1]);
    const std::string path = std::string(argv[1]) + "/" + argv[2];
    if (!std::filesystem::exists(path + ".gguf")) {
        write_model(path + ".part", shape, 1);
        std::filesystem::rename(path + ".part", path + ".gguf");
    }
    AdapterShape adapter { 16, 32, GGML_TYPE_F16, GGML_TYPE_F16, targets_of(shape) };
    adapter.targets.erase(adapter.targets.begin(), adapter.targets.begin() + 2); // not the embedding and the output
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_NONE;
    use_our_kernels(true);
    llama_model * model = llama_model_load_from_file((path + ".gguf").c_str(), params);
    llama_model * upstream;
    {
        const PlainWeights scope;
        upstream = llama_model_load_from_file((path + ".gguf").c_str(), params);
    }
    std::vector<llama_adapter_lora *> adapters;
    for (int i = 0; i < adapter_count; ++i) {
        const std::string file = path + ".adapter" + std::to_string(i) + ".gguf";
        if (!std::filesystem::exists(file)) {
            write_adapter(file + ".part", shape, adapter, 100 + i);
            std::filesystem::rename(file + ".part", file);
        }
        adapters.push_back(llama_adapter_lora_init(model, file.c_str()));
        prepare_for_sequences(*adapters.back());
    }
    llama_adapter_lora * adapter_for_all = llama_adapter_lora_init(upstream, (path + ".adapter0.gguf").c_str());

    llama_context * none = new_context(model, threads);
    llama_context * one = new_context(upstream, threads);
    llama_context * mixed = new_context(model, threads);
    float scale = 1;
    llama_set_adapters_lora(one, &adapter_for_all, 1, &scale);
    {
        SequenceAdapters routing(mixed);
        const auto mix = [&](int count) {
            return [&routing, &adapters, count] {
                for (int seq = 0; seq < sequences; ++seq) {
                    routing.set(seq, { { adapters[seq % count], 1.0f } });
                }
            };
        };
        const auto nothing = [] {};
        std::vector<Case> cases = {
            { "no adapter", none, nothing, true, {}, {} },
            { "one for all, upstream", one, nothing, false, {}, {} },
            { "one for all, ours", mixed, mix(1), true, {}, {} },
            { "mixed, 8 adapters", mixed, mix(8), true, {}, {} },
            { "mixed, 16 adapters", mixed, mix(16), true, {}, {} },
        };
        const int prefill_rounds = std::max(1, steps / 10);
        for (int round = 0; round < prefill_rounds; ++round) {
            for (Case & c : cases) {
                use_our_kernels(c.ours);
                c.prepare();
                llama_memory_clear(llama_get_memory(c.context), false);
                c.prefill_ms.push_back(decode(c.context, 0, prefill));
            }
        }
        for (Case & c : cases) {
            use_our_kernels(c.ours);
            llama_memory_clear(llama_get_memory(c.context), false);
            decode(c.context, 0, prompt);
        }
        for (int step = 0; step < steps + 2; ++step) {
            for (Case & c : cases) {
                use_our_kernels(c.ours);
                c.prepare();
                llama_memory_t memory = llama_get_memory(c.context);
                for (int seq = 0; seq < sequences; ++seq) {
                    llama_memory_seq_rm(memory, seq, prompt + step / 2, -1); // the mixed cases share a context
                }
                const double ms = decode(c.context, prompt + step / 2, 1);
                if (step >= 2) {
                    c.decode_ms.push_back(ms);
                }
            }
        }
        std::printf("%s, %d threads\n%-24s %12s %10s %10s %14s %10s\n", argv[2], threads, "", "decode tok/s", "x one", "x none", "prefill tok/s", "x one");
        for (const Case & c : cases) {
            const double ms = median(c.decode_ms);
            const double prefill_ms = median(c.prefill_ms);
            std::printf("%-24s %12.1f %10.3f %10.3f %14.1f %10.3f\n", c.name.c_str(), 1000 * sequences / ms, median(cases[1].decode_ms) / ms,
                        median(cases[0].decode_ms) / ms, 1000 * sequences * prefill / prefill_ms, median(cases[1].prefill_ms) / prefill_ms);
        }
    }
    llama_free(none);
    llama_free(one);
    llama_free(mixed);
    llama_model_free(model);
    llama_model_free(upstream);
    return EXIT_SUCCESS;
}
