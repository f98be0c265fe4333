// Logits of random models: those of records alone and in random batches, with stacks of adapters and copied prefixes, have the
// same bits; those with packed weights are nearly those without, and exactly those where nothing has a packed form.

#include "lora_routing.h"
#include "packed_parity.h"
#include "packed_weights.h"
#include "prefix_cells.h"
#include "random_model.h"

#include "ggml-cpu/traits.h"
#include "llama-ext.h"
#include "llama-model.h"
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <utility>

#include <unistd.h>

namespace llamafu {

namespace {

/// Adapters, and stacks of them, for a random model.
class Adapters {
public:
    Adapters(llama_model * model, const ModelShape & shape, const std::string & file) {
        const std::vector<std::string> targets = targets_of(shape);
        for (int i = 0; i < count; ++i) {
            write_adapter(file, shape, { 8 + 8 * i, 16, GGML_TYPE_F16, i == 1 ? GGML_TYPE_F32 : GGML_TYPE_F16, targets }, 100 + i);
            adapters_.emplace_back(llama_adapter_lora_init(model, file.c_str()), llama_adapter_lora_free);
            std::filesystem::remove(file);
            require(adapters_.back() != nullptr, "an adapter is loaded");
            if (i > 0) {
                prepare_for_sequences(*adapters_.back()); // the first stays as it is in the file
            }
        }
    }

    /// One of twelve.
    std::vector<ScaledAdapter> stack(size_t index) const {
        static const std::vector<std::vector<std::pair<size_t, float>>> stacks = { {}, { { 0, 1 } }, { { 1, 1 } }, { { 2, 1 } },
            { { 3, 1 } }, { { 1, 0.5f } }, { { 0, 1 }, { 1, 1 } }, { { 1, 1 }, { 0, 1 } }, { { 3, 0.7f }, { 2, 1 } }, { { 2, -1 } },
            { { 0, 1 }, { 1, 0.3f }, { 2, 0.2f }, { 3, 0.1f } }, { { 3, 1 }, { 1, 2 } } };
        std::vector<ScaledAdapter> stack;
        for (const auto & [adapter, scale] : stacks[index % stacks.size()]) {
            stack.push_back({ adapters_[adapter].get(), scale });
        }
        return stack;
    }

private:
    static constexpr int count = 4;
    std::vector<std::unique_ptr<llama_adapter_lora, decltype(&llama_adapter_lora_free)>> adapters_;
};

/// A prompt with the answer that follows it, under a stack.
struct Record {
    std::vector<llama_token> tokens;
    size_t stack;
    size_t shared = 0; // tokens at its beginning that are those of the record before, which has the same stack
};

/// The logits after the last tokens of records.
class Decoding {
public:
    Decoding(llama_model * model, const Adapters & adapters, int sequences, int cells, int threads, int batch)
        : batch_(batch), sequences_(sequences), adapters_(adapters), context_(create(model, sequences, cells, threads, batch), llama_free),
          stacks_(context_.get()), cells_(context_.get()) {
        const std::string dependence = batch_dependence(llama_graph_reserve(context_.get(), batch, sequences, sequences));
        require(dependence.empty(), dependence);
    }

    /// As many records as there are sequences, together; each batch takes random numbers of tokens of random records. A record
    /// takes the cells of a beginning that the record before has already.
    std::vector<std::vector<float>> decode(const std::vector<Record> & records, std::mt19937 & random) {
        require(records.size() <= static_cast<size_t>(sequences_), "there is a sequence for each record");
        llama_memory_clear(llama_get_memory(context_.get()), true);
        std::vector<std::vector<float>> logits(records.size());
        std::vector<size_t> done(records.size()), computed(records.size()); // of which the latter have cells
        for (size_t i = 0; i < records.size(); ++i) {
            stacks_.set(static_cast<llama_seq_id>(i), adapters_.stack(records[i].stack));
        }
        std::vector<size_t> open(records.size());
        std::iota(open.begin(), open.end(), 0);
        while (!open.empty()) {
            llama_batch tokens = llama_batch_init(batch_, 0, 1);
            while (tokens.n_tokens < batch_ && !open.empty()) {
                const size_t at = random() % open.size(), i = open[at], size = records[i].tokens.size();
                if (done[i] == 0 && i > 0 && records[i].shared > 0 && computed[i - 1] >= records[i].shared) {
                    cells_.copy(static_cast<llama_seq_id>(i - 1), static_cast<llama_seq_id>(i), static_cast<llama_pos>(records[i].shared));
                    done[i] = records[i].shared;
                    copied_ += done[i];
                }
                const size_t most = random() % 3 == 0 ? 1 : 1 + random() % 200;
                const size_t count = std::min<size_t>({ size - done[i], most, static_cast<size_t>(batch_ - tokens.n_tokens) });
                for (size_t n = 0; n < count; ++n, ++tokens.n_tokens, ++done[i]) {
                    tokens.token[tokens.n_tokens] = records[i].tokens[done[i]];
                    tokens.pos[tokens.n_tokens] = static_cast<llama_pos>(done[i]);
                    tokens.n_seq_id[tokens.n_tokens] = 1;
                    tokens.seq_id[tokens.n_tokens][0] = static_cast<llama_seq_id>(i);
                    tokens.logits[tokens.n_tokens] = done[i] + last_tokens >= size;
                }
                if (done[i] == size) {
                    open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
                }
            }
            require(llama_decode(context_.get(), tokens) == 0, "a batch is decoded");
            llama_synchronize(context_.get());
            computed = done;
            for (int t = 0; t < tokens.n_tokens; ++t) {
                if (tokens.logits[t]) {
                    const float * values = llama_get_logits_ith(context_.get(), t);
                    std::vector<float> & all = logits[static_cast<size_t>(tokens.seq_id[t][0])];
                    all.insert(all.end(), values, values + vocabulary);
                }
            }
            llama_batch_free(tokens);
        }
        return logits;
    }

    /// Tokens whose cells were copied.
    size_t copied() const { return copied_; }

    static constexpr int vocabulary = 1000;
    static constexpr size_t last_tokens = 4;

private:
    static llama_context * create(llama_model * model, int sequences, int cells, int threads, int batch) {
        llama_context_params params = llama_context_default_params();
        params.n_seq_max = static_cast<uint32_t>(sequences);
        params.n_ctx = static_cast<uint32_t>(cells * sequences);
        params.n_batch = static_cast<uint32_t>(batch);
        params.n_ubatch = static_cast<uint32_t>(batch);
        params.n_threads = threads;
        params.n_threads_batch = threads;
        params.kv_unified = false;
        return llama_init_from_model(model, params);
    }

    const int batch_;
    const int sequences_;
    const Adapters & adapters_;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context_;
    SequenceAdapters stacks_;
    PrefixCells cells_;
    size_t copied_ = 0;
};

/// A file that is removed at the end.
struct TemporaryFile {
    const std::string path =
        (std::filesystem::temp_directory_path() / ("packed_parity." + std::to_string(getpid()) + ".gguf")).string();

    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

std::unique_ptr<llama_model, decltype(&llama_model_free)> load(const std::string & file) {
    llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_NONE;
    std::unique_ptr<llama_model, decltype(&llama_model_free)> model(llama_model_load_from_file(file.c_str(), params), llama_model_free);
    require(model != nullptr, "the model is loaded");
    return model;
}

/// The logits after some tokens.
std::vector<float> logits_after_tokens(llama_model * model, int vocabulary) {
    constexpr int count = 50;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_threads = 2;
    params.n_threads_batch = 2;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(llama_init_from_model(model, params), llama_free);
    require(context != nullptr, "a context is created");
    std::vector<llama_token> tokens(count);
    for (int i = 0; i < count; ++i) {
        tokens[static_cast<size_t>(i)] = (i * 7 + 3) % vocabulary;
    }
    require(llama_decode(context.get(), llama_batch_get_one(tokens.data(), count)) == 0, "tokens are decoded");
    const float * logits = llama_get_logits_ith(context.get(), -1);
    return std::vector<float>(logits, logits + vocabulary);
}

/// Whether some tensor of a model is in our buffer type, whose tensors no one else can compute with.
bool has_packed_weights(const llama_model * model) {
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        if (ggml_backend_buffer_get_type(tensor->buffer) == ggml_backend_cpu_get_extra_buffer_types().front()) {
            return true;
        }
    }
    return false;
}

/// A model that is loaded with packed weights, as far as it has some, and one that is not: nearly the same, and exactly if it
/// has none.
void check_against_plain(const std::string & name, const ModelShape & shape, bool has_packed) {
    const TemporaryFile file;
    write_model(file.path, shape, 30);
    const auto packed_model = load(file.path);
    require(has_packed_weights(packed_model.get()) == has_packed, name + (has_packed ? " has" : " is left without") + " packed weights");
    const std::vector<float> packed = logits_after_tokens(packed_model.get(), static_cast<int>(shape.vocab));
    const PlainWeights plain_weights;
    const auto plain_model = load(file.path);
    require(!has_packed_weights(plain_model.get()), name + " is left without packed weights when that is asked for");
    const std::vector<float> plain = logits_after_tokens(plain_model.get(), static_cast<int>(shape.vocab));
    double differences = 0, values = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
        const double difference = static_cast<double>(packed[i]) - static_cast<double>(plain[i]);
        differences += difference * difference;
        values += static_cast<double>(plain[i]) * static_cast<double>(plain[i]);
    }
    const double relative = std::sqrt(differences / values);
    std::printf("%s: %.1e of the logits without packed weights\n", name.c_str(), relative);
    require(values > 0 && relative < 0.03, name + " has the logits of a model without packed weights");
    require(has_packed || relative == 0, name + " has exactly the logits of a model without packed weights");
}

void check_other_models() {
    for (ggml_type type : { GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_IQ3_XXS, GGML_TYPE_TQ2_0,
                            GGML_TYPE_MXFP4, GGML_TYPE_NVFP4 }) {
        check_against_plain(std::string("a model of ") + ggml_type_name(type), { 256, 1, 4, 2, 256, 300, type }, false);
    }
    check_against_plain("a tied model of q2_K", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q2_K, true }, false);
    check_against_plain("rows in no whole panels", { 96, 2, 3, 1, 224, 999, GGML_TYPE_Q8_0 }, true);
    check_against_plain("columns in no whole blocks", { 80, 1, 5, 5, 144, 333, GGML_TYPE_F16 }, false);
    check_against_plain("some columns in no whole blocks", { 96, 1, 3, 3, 144, 333, GGML_TYPE_F32 }, true);
    check_against_plain("heads of 40", { 160, 1, 4, 2, 160, 300, GGML_TYPE_Q8_0 }, true);
    check_against_plain("a tied model of q6_K", { 256, 1, 4, 2, 256, 301, GGML_TYPE_Q6_K, true }, true);
    check_against_plain("one matrix for q, k and v", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q5_K, false, true }, true);
    check_against_plain("experts", { 128, 2, 4, 2, 96, 300, GGML_TYPE_Q8_0, false, false, 5 }, true);
    check_against_plain("q2_K with q6_K", { 256, 1, 4, 2, 256, 300, GGML_TYPE_Q2_K, false, false, 0, 0, GGML_TYPE_Q6_K }, true);
}

/// Compares so many records of a random model alone and in random batches of 1 to 32 records.
void check_model(ggml_type type, int count, int longest, uint32_t seed) {
    ModelShape shape = { 256, 2, 4, 2, 512, Decoding::vocabulary, type, type == GGML_TYPE_Q8_0 };
    if (type == GGML_TYPE_Q4_K) {
        shape.better = GGML_TYPE_Q6_K; // as in Q4_K_M
    }
    const TemporaryFile file;
    write_model(file.path, shape, seed);
    const auto model = load(file.path);
    const Adapters adapters(model.get(), shape, file.path);

    std::mt19937 random(seed);
    const int cells = (longest + 255) / 256 * 256;
    std::vector<Record> records(static_cast<size_t>(count));
    for (size_t i = 0; i < records.size(); ++i) {
        records[i].stack = i / 2;
        records[i].tokens.resize(5 + random() % static_cast<uint32_t>(longest - 4));
        for (llama_token & token : records[i].tokens) {
            token = static_cast<llama_token>(random() % Decoding::vocabulary);
        }
        if (i % 2 == 1) {
            const std::vector<llama_token> & before = records[i - 1].tokens;
            const size_t most = std::min(before.size(), records[i].tokens.size() - Decoding::last_tokens);
            records[i].shared = 1 + random() % most;
            std::copy_n(before.begin(), records[i].shared, records[i].tokens.begin());
        }
    }
    Decoding whole(model.get(), adapters, 1, cells, 1, cells);
    std::vector<std::vector<float>> alone;
    Digest digest;
    for (const Record & record : records) {
        alone.push_back(whole.decode({ record }, random).front());
        digest.add(alone.back());
    }
    size_t compared = 0;
    std::vector<std::unique_ptr<Decoding>> ways; // of decoding them together
    for (int threads = 1; threads <= 3; ++threads) {
        for (int batch : { 33, 256, 1024 }) {
            ways.push_back(std::make_unique<Decoding>(model.get(), adapters, 32, cells, threads, batch));
        }
    }
    for (size_t first = 0, turn = 0; first < records.size(); ++turn) {
        const size_t size = std::min<size_t>(records.size() - first, 1 + random() % 32);
        const std::vector<Record> some(records.begin() + static_cast<std::ptrdiff_t>(first), records.begin() + static_cast<std::ptrdiff_t>(first + size));
        const std::vector<std::vector<float>> logits = ways[turn % ways.size()]->decode(some, random);
        for (size_t i = 0; i < size; ++i) {
            require(logits[i].size() == alone[first + i].size()
                        && std::memcmp(logits[i].data(), alone[first + i].data(), logits[i].size() * sizeof(float)) == 0,
                    std::string("a ") + ggml_type_name(type) + " model: record " + std::to_string(first + i) + " of "
                        + std::to_string(records[first + i].tokens.size()) + " tokens among " + std::to_string(size) + ", way "
                        + std::to_string(turn % ways.size()) + ", has other logits than alone");
            compared += logits[i].size();
        }
        first += size;
    }
    size_t copied = 0;
    for (const std::unique_ptr<Decoding> & way : ways) {
        copied += way->copied();
    }
    require(copied > 0, "some cells are copied");
    std::printf("a %s model: %d records, %zu logits with the same bits alone and together, %zu tokens copied, digest %s\n", ggml_type_name(type),
                count, compared, copied, digest.text().c_str());
}

} // namespace

void check_models() {
    check_other_models();
    for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                            GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_F32 }) {
        check_model(type, 36, 150, 8);
    }
}

void check_long_records(int count, const char * format) {
    for (ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_F16 }) {
        if (format == nullptr || std::strcmp(format, ggml_type_name(type)) == 0) {
            check_model(type, count, 900, 10);
        }
    }
}

} // namespace llamafu
