// Compares per-sequence LoRA with llama_set_adapters_lora: on random models, sixteen sequences with different stacks
// are prefilled and decoded together in shuffled batches; their logits must equal those that upstream computes for each
// sequence alone. Some stacks begin in the middle of a prompt, as those of activated adapters (aLoRA) do; upstream then decodes
// the tokens before without adapters.
// ggml rounds the activations to the type of the weights (BF16, Q8_0); our kernels do not. They are therefore compared
// with upstream's results for the same weights stored as F32. Where ggml rounds so coarsely that upstream differs from
// itself by more than the tolerance when a prompt is decoded in other portions (Q8_0 base; BF16 and Q8_0 adapters in
// the generic path and in experts), `coarse` bounds the difference instead. A wrong adapter, scale or row shows as a
// difference above 0.1.
//
// The way `packed` has packed weights, whose kernels add the adapters while they multiply, and adapters that are laid out for them.
//
// With arguments, MODEL ADAPTER..., it compares these files instead: first each adapter alone, then random stacks of them.

#include "lora_routing.h"
#include "our_kernels.h"
#include "packed_kernels.h"
#include "random_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>

using namespace llamafu;

namespace {

constexpr int sequences = 16;
constexpr int rounds = 4; // of 16 (prompt, stack) pairs, per model
constexpr int adapter_count = 8;
constexpr int batch_size = 128;
constexpr double tolerance = 2e-3; // of max(logits) - min(logits)
constexpr double coarse = 2e-2;

using ModelPtr = std::unique_ptr<llama_model, decltype(&llama_model_free)>;
using ContextPtr = std::unique_ptr<llama_context, decltype(&llama_free)>;
using AdapterPtr = std::unique_ptr<llama_adapter_lora, decltype(&llama_adapter_lora_free)>;

struct Way {
    const char * name;
    LoraPath path;
    CpuLevel level;
    bool packed = false;
};

struct Model {
    const char * name;
    ModelShape shape;
    std::vector<ggml_type> adapter_types;
};

/// An adapter's twin in `widened` has the same weights as F32; none has one if all are F32.
struct Files {
    std::string model;
    std::vector<std::string> adapters;
    std::vector<std::string> widened;
};

using Stack = std::vector<std::pair<int, float>>; // adapter index, scale

struct Pair {
    std::vector<llama_token> prompt;
    Stack stack;
    int activation; // the first position that the stack applies to
    std::vector<std::vector<float>> logits;  // upstream's, by position
    std::vector<std::vector<float>> widened; // upstream's with the weights as F32
};

struct Loaded {
    ModelPtr model { nullptr, llama_model_free };
    std::vector<AdapterPtr> adapters;
};

struct Result {
    double worst = 0;
    int compared = 0;
    int pairs = 0;
};

void require(bool condition, const std::string & message) {
    if (!condition) {
        throw std::runtime_error(message);
    }
}

/// Without `all_cells`, layers with a window keep the window and a ubatch, as the engine's do.
ContextPtr new_context(llama_model * model, int n_seq, int cells, bool unified, int threads, bool all_cells) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = cells * n_seq;
    params.n_batch = batch_size;
    params.n_ubatch = 8;
    params.swa_full = all_cells;
    params.n_seq_max = n_seq;
    params.n_threads = params.n_threads_batch = threads;
    params.kv_unified = unified;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    return { llama_init_from_model(model, params), llama_free };
}

void compare(const float * actual, const std::vector<float> & expected, Result & result) {
    const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
    for (size_t i = 0; i < expected.size(); ++i) {
        const double difference = std::abs(actual[i] - expected[i]) / (*high - *low);
        result.worst = std::isfinite(difference) ? std::max(result.worst, difference) : INFINITY;
    }
    result.compared++;
}

class ParityTest {
public:
    /// Of random stacks.
    ParityTest(const Files & files, uint32_t seed) : ParityTest(files, seed, 64) {
        for (int i = 0; i < rounds * sequences; ++i) {
            const int length = between(4, 28);
            pairs_.push_back({ random_prompt(length), random_stack(), i % 3 == 0 ? between(1, length - 1) : 0, {}, {} });
        }
        compute_expected();
    }

    /// Of each adapter alone, then of random stacks. The prompt of the first pair is longer than the cells of a layer with a
    /// small window.
    static ParityTest of_each(const Files & files) {
        ParityTest test(files, 1, long_prompt + sequences);
        while (test.pairs_.size() < files.adapters.size() + sequences / 4 || test.pairs_.size() % sequences != 0) {
            const int index = test.pairs_.size();
            const bool alone = index < int(files.adapters.size());
            const int length = index == 0 ? long_prompt : test.between(4, 28);
            test.pairs_.push_back({ test.random_prompt(length), alone ? Stack { { index, 1.0f } } : test.random_stack(), 0, {}, {} });
        }
        test.compute_expected();
        return test;
    }

    /// The greatest change of a logit by the stack of a pair, as a part of their spread.
    const std::vector<double> & effects() const { return effects_; }
    double adapter_effect() const { return *std::max_element(effects_.begin(), effects_.end()); }
    double upstream_noise() const { return noise_.worst; }

    /// Answers `count` rounds of 16 pairs.
    Result run(const Way & way, bool unified, int threads, size_t count) {
        Loaded & loaded = way.packed ? packed_ : plain_;
        use_our_kernels(way.packed);
        ContextPtr context = new_context(loaded.model.get(), sequences, cells_, unified, threads, false);
        SequenceAdapters routing(context.get(), way.path, way.level);
        Result result;
        for (size_t round = 0; round < count; ++round) {
            Pair * pairs = &pairs_[round * sequences];
            for (int seq = 0; seq < sequences; ++seq) {
                llama_memory_seq_rm(llama_get_memory(context.get()), seq, -1, -1);
                if (pairs[seq].activation > 0) {
                    routing.set(seq, {});
                }
            }
            decode_mixed(context.get(), routing, loaded, pairs, way.path == LoraPath::generic, result);
            replace_adapter(routing, loaded, pairs, round % paths_.size());
        }
        return result;
    }

    size_t all_rounds() const { return pairs_.size() / sequences; }

private:
    static constexpr int long_prompt = 300;

    ParityTest(const Files & files, uint32_t seed, int cells)
        : cells_(cells), random_(seed), paths_(files.adapters), plain_(load(files, false)), packed_(load(files, true)) {
        vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(plain_.model.get()));
        for (const std::string & path : files.widened) {
            widened_.push_back(load_adapter(plain_, path));
        }
        use_our_kernels(false);
    }

    static Loaded load(const Files & files, bool packed) {
        use_our_kernels(packed);
        Loaded loaded;
        loaded.model.reset(llama_model_load_from_file(files.model.c_str(), llama_model_default_params()));
        require(loaded.model != nullptr, "the model does not load");
        for (const std::string & path : files.adapters) {
            loaded.adapters.push_back(load_adapter(loaded, path));
            if (packed) {
                prepare_for_sequences(*loaded.adapters.back());
            }
        }
        return loaded;
    }

    int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

    static AdapterPtr load_adapter(const Loaded & loaded, const std::string & path) {
        AdapterPtr adapter(llama_adapter_lora_init(loaded.model.get(), path.c_str()), llama_adapter_lora_free);
        require(adapter != nullptr, "an adapter does not load");
        return adapter;
    }

    template <class T>
    T one_of(const std::vector<T> & values) {
        return values[between(0, values.size() - 1)];
    }

    std::vector<llama_token> random_prompt(int length) {
        std::vector<llama_token> prompt(length);
        for (llama_token & token : prompt) {
            token = between(0, vocab_ - 1);
        }
        return prompt;
    }

    Stack random_stack() {
        std::vector<int> order(paths_.size());
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random_);
        Stack stack;
        for (int i = 0, n = between(0, std::min<int>(3, order.size())); i < n; ++i) {
            stack.emplace_back(order[i], one_of<float>({ 1.0f, 0.5f, -0.7f, 0.0f, 1.6f }));
        }
        return stack;
    }

    void compute_expected() {
        ContextPtr context = new_context(plain_.model.get(), 1, cells_, true, 1, true);
        for (Pair & pair : pairs_) {
            const std::vector<std::vector<float>> base = upstream_logits(context.get(), pair.prompt, {}, 0, plain_.adapters, 64);
            pair.logits = upstream_logits(context.get(), pair.prompt, pair.stack, pair.activation, plain_.adapters, 64);
            const std::vector<AdapterPtr> & fine = widened_.empty() ? plain_.adapters : widened_;
            pair.widened = widened_.empty() ? pair.logits : upstream_logits(context.get(), pair.prompt, pair.stack, pair.activation, fine, 64);
            if (effects_.size() % 4 == 0) {
                const std::vector<std::vector<float>> again = upstream_logits(context.get(), pair.prompt, pair.stack, pair.activation, fine, 1);
                for (size_t pos = 0; pos < again.size(); ++pos) {
                    compare(again[pos].data(), pair.widened[pos], noise_);
                }
            }
            Result difference;
            for (size_t pos = 0; pos < base.size(); ++pos) {
                compare(base[pos].data(), pair.logits[pos], difference);
            }
            effects_.push_back(difference.worst);
        }
        llama_set_adapters_lora(context.get(), nullptr, 0, nullptr);
    }

    std::vector<std::vector<float>> upstream_logits(llama_context * context, const std::vector<llama_token> & prompt,
                                                    const Stack & stack, size_t activation, const std::vector<AdapterPtr> & loaded,
                                                    size_t chunk) {
        std::vector<llama_adapter_lora *> adapters;
        std::vector<float> scales;
        for (const auto & [adapter, scale] : stack) {
            adapters.push_back(loaded[adapter].get());
            scales.push_back(scale);
        }
        llama_memory_clear(llama_get_memory(context), true);
        std::vector<std::vector<float>> logits;
        llama_batch batch = llama_batch_init(prompt.size(), 0, 1);
        for (size_t first = 0, end; first < prompt.size(); first = end) {
            end = std::min(first < activation ? activation : prompt.size(), first + chunk);
            llama_set_adapters_lora(context, adapters.data(), first < activation ? 0 : adapters.size(), scales.data());
            batch.n_tokens = 0;
            for (size_t i = first; i < end; ++i) {
                add(batch, prompt[i], i, 0, true);
            }
            require(llama_decode(context, batch) == 0, "upstream's decode fails");
            for (int i = 0; i < batch.n_tokens; ++i) {
                const float * row = llama_get_logits_ith(context, i);
                logits.emplace_back(row, row + vocab_);
            }
        }
        llama_batch_free(batch);
        return logits;
    }

    static void set(SequenceAdapters & routing, const Loaded & loaded, int seq, const Pair & pair) {
        std::vector<ScaledAdapter> stack;
        for (const auto & [adapter, scale] : pair.stack) {
            stack.push_back({ loaded.adapters[adapter].get(), scale });
        }
        routing.set(seq, stack);
    }

    static void add(llama_batch & batch, llama_token token, llama_pos pos, llama_seq_id seq, bool output) {
        const int i = batch.n_tokens++;
        batch.token[i] = token;
        batch.pos[i] = pos;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = seq;
        batch.logits[i] = output;
    }

    /// Sequences join at different steps; each step gives a sequence a chunk of its prompt or a single token, and the
    /// tokens of all are put into the batch in random order.
    void decode_mixed(llama_context * context, SequenceAdapters & routing, const Loaded & loaded, Pair * pairs, bool generic, Result & result) {
        int done[sequences] = {};
        llama_batch batch = llama_batch_init(batch_size, 0, 1);
        for (int step = 0; ; ++step) {
            std::vector<int> deal;
            bool waiting = false;
            for (int seq = 0; seq < sequences; ++seq) {
                const int activation = pairs[seq].activation;
                if (done[seq] == activation) {
                    set(routing, loaded, seq, pairs[seq]);
                }
                const int left = (done[seq] < activation ? activation : int(pairs[seq].prompt.size())) - done[seq];
                waiting |= left > 0;
                const int most = left > 60 ? 30 : 4;
                const int count = seq / 4 > step ? 0 : step % 3 == 2 ? 1 : between(0, most);
                deal.insert(deal.end(), std::min(left, count), seq);
            }
            if (!waiting) {
                break;
            }
            std::shuffle(deal.begin(), deal.end(), random_);
            const bool decode_only = step % 3 == 2;
            batch.n_tokens = 0;
            std::vector<std::pair<int, int>> where;
            for (const int seq : deal) {
                where.emplace_back(seq, done[seq]);
                add(batch, pairs[seq].prompt[done[seq]], done[seq], seq, decode_only || between(0, 2) == 0);
                done[seq]++;
            }
            if (batch.n_tokens == 0) {
                continue;
            }
            require(llama_decode(context, batch) == 0, "the mixed decode fails");
            for (int i = 0; i < batch.n_tokens; ++i) {
                if (batch.logits[i]) {
                    const auto [seq, pos] = where[i];
                    compare(llama_get_logits_ith(context, i), (generic ? pairs[seq].logits : pairs[seq].widened)[pos], result);
                }
            }
        }
        llama_batch_free(batch);
    }

    /// Replaces adapters between decodes: one is released, freed and loaded again.
    void replace_adapter(SequenceAdapters & routing, Loaded & loaded, Pair * pairs, int index) {
        for (int seq = 0; seq < sequences; ++seq) {
            for (const auto & [adapter, scale] : pairs[seq].stack) {
                if (adapter == index) {
                    routing.set(seq, {});
                }
            }
        }
        AdapterPtr & adapter = loaded.adapters[index];
        routing.release(adapter.get()); // throws while a sequence uses it
        adapter.reset();
        adapter = load_adapter(loaded, paths_[index]);
    }

    const int cells_; // of a sequence
    std::mt19937 random_;
    int vocab_;
    std::vector<std::string> paths_;
    Loaded plain_;
    Loaded packed_;
    std::vector<AdapterPtr> widened_;
    std::vector<Pair> pairs_;
    std::vector<double> effects_; // by pair
    Result noise_; // of upstream itself: the same tokens one by one
};

template <class T>
T one_of(std::mt19937 & random, const std::vector<T> & values) {
    return values[std::uniform_int_distribution<size_t>(0, values.size() - 1)(random)];
}

/// The first adapter changes every weight that it can.
AdapterShape random_adapter(std::mt19937 & random, const Model & model, bool complete) {
    AdapterShape adapter { one_of<int64_t>(random, { 2, 3, 4, 8, 16, 32, 80 }), one_of<float>(random, { 0, 8, 16 }), GGML_TYPE_F16, GGML_TYPE_F16, {} };
    adapter.a_type = one_of(random, model.adapter_types);
    adapter.b_type = one_of(random, model.adapter_types);
    for (const std::string & target : targets_of(model.shape)) {
        // Upstream aborts when an adapter of a tied embedding reaches the output matrix.
        const bool possible = target != "token_embd.weight" || !model.shape.tied_output;
        if (possible && (complete || one_of<int>(random, { 0, 1, 2 }) > 0)) {
            adapter.targets.push_back(target);
        }
    }
    return adapter;
}

Files random_files(const std::string & folder, const Model & model, uint32_t seed) {
    std::mt19937 random(seed);
    Files files { folder + "/model.gguf", {}, {} };
    write_model(files.model, model.shape, seed);
    for (int i = 0; i < adapter_count; ++i) {
        AdapterShape adapter = random_adapter(random, model, i == 0);
        files.adapters.push_back(folder + "/adapter" + std::to_string(i) + ".gguf");
        write_adapter(files.adapters.back(), model.shape, adapter, seed * 100 + i);
        adapter.widened = true;
        files.widened.push_back(files.adapters.back() + ".f32");
        write_adapter(files.widened.back(), model.shape, adapter, seed * 100 + i);
    }
    return files;
}

/// The best kernels and the generic path; a difference must be far below the effect of every adapter.
int run_files(const Files & files) {
    ParityTest test = ParityTest::of_each(files);
    const double effect = *std::min_element(test.effects().begin(), test.effects().begin() + files.adapters.size());
    const double allowed = std::max(tolerance, 2 * test.upstream_noise());
    std::printf("each adapter changes the logits by at least %.1e of their spread; upstream differs from itself by %.1e\n", effect,
                test.upstream_noise());
    bool passed = true;
    for (const Way & way : { Way { "kernels", LoraPath::automatic, best_cpu_level() }, Way { "generic", LoraPath::generic, CpuLevel::plain } }) {
        const Result result = test.run(way, false, 1, test.all_rounds());
        std::printf("%s: %d rows, max difference %.1e\n", way.name, result.compared, result.worst);
        passed &= result.worst <= allowed && 5 * result.worst <= effect;
    }
    std::puts(passed ? "PASSED" : "FAILED");
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_all() {
    const std::vector<ggml_type> fine = { GGML_TYPE_F32, GGML_TYPE_F16 };
    const std::vector<ggml_type> all = { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 };
    const std::vector<Model> models = {
        { "d64 F32", { 64, 2, 4, 2, 160, 300, GGML_TYPE_F32 }, fine },
        { "d128 F16", { 128, 3, 4, 1, 352, 512, GGML_TYPE_F16 }, fine },
        { "d128 F16, fused qkv", { 128, 2, 4, 2, 256, 333, GGML_TYPE_F16, false, true }, fine },
        // all experts for each token: rounding could choose others of nearly equal weight, which changes everything after
        { "d64 F16, 4 of 4 experts", { 64, 2, 4, 2, 96, 300, GGML_TYPE_F16, false, false, 4, 4 }, fine },
        { "d96 F32, any type", { 96, 2, 3, 3, 192, 300, GGML_TYPE_F32 }, all },
        { "d256 F16 tied, any type", { 256, 4, 8, 4, 512, 400, GGML_TYPE_F16, true }, all },
        { "d128 Q8_0, any type", { 128, 2, 4, 2, 256, 320, GGML_TYPE_Q8_0 }, all },
        { "d64 F32, 2 of 4 experts", { 64, 2, 4, 2, 96, 300, GGML_TYPE_F32, false, false, 4 }, { GGML_TYPE_F32 } },
    };
    std::vector<Way> ways = { { "plain", LoraPath::cpu, CpuLevel::plain }, { "generic", LoraPath::generic, CpuLevel::plain } };
    for (const Way & way : { Way { "avx512", LoraPath::automatic, CpuLevel::avx512 }, Way { "avx2", LoraPath::cpu, CpuLevel::avx2 },
                             Way { "neon", LoraPath::automatic, CpuLevel::neon } }) {
        if (has_cpu_level(way.level)) {
            ways.insert(ways.begin() + 1, way);
        }
    }

    if (best_packed_level() != PackedLevel::none) {
        ways.push_back({ "packed", LoraPath::automatic, best_cpu_level(), true });
    }

    const std::string folder = std::filesystem::temp_directory_path() / ("lora_parity." + std::to_string(std::random_device()()));
    std::filesystem::create_directory(folder);
    std::map<std::string, Result> totals;
    bool passed = true;
    for (size_t i = 0; i < models.size(); ++i) {
        ParityTest test(random_files(folder, models[i], i + 1), i + 1);
        std::printf("%s: adapters change the logits by up to %.2f of their spread; upstream differs from itself by %.1e\n", models[i].name,
                    test.adapter_effect(), test.upstream_noise());
        passed &= test.adapter_effect() > 0.1;
        for (const Way & way : ways) {
            const bool is_coarse = models[i].shape.type == GGML_TYPE_Q8_0 || (way.path == LoraPath::generic && models[i].adapter_types == all);
            for (const bool unified : { true, false }) {
                const int threads = i == 0 && !unified && way.level == best_cpu_level() ? 2 : 1;
                const Result result = test.run(way, unified, threads, unified ? test.all_rounds() : 1);
                std::printf("    %-8s %-10s %5d rows, max difference %.1e%s\n", way.name, unified ? "unified" : "per stream", result.compared,
                            result.worst, is_coarse ? " (coarse)" : "");
                passed &= result.worst <= (is_coarse ? coarse : tolerance);
                if (!is_coarse) {
                    Result & total = totals[way.name];
                    total = { std::max(total.worst, result.worst), total.compared + result.compared, total.pairs + (unified ? rounds * sequences : 0) };
                }
            }
        }
    }
    std::filesystem::remove_all(folder);
    for (const auto & [name, total] : totals) {
        std::printf("%-8s %d pairs, %d rows, max difference %.2e of the spread\n", name.c_str(), total.pairs, total.compared, total.worst);
    }
    std::puts(passed ? "PASSED" : "FAILED");
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char ** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            std::fputs(text, stderr);
        }
    }, nullptr);
    llama_backend_init();
    try {
        if (argc > 2) {
            return run_files({ argv[1], { argv + 2, argv + argc }, {} });
        }
        return run_all();
    } catch (const std::exception & error) {
        std::fprintf(stderr, "%s\n", error.what());
        return EXIT_FAILURE;
    }
}
