// JNI of contexts and samplers: io.llamafu.llamacpp.LlamaCpp.

#include "abort_guard.h"
#include "jni_support.h"
#include "loading.h"
#include "lora_routing.h"
#include "packed_weights.h"
#include "prefix_cells.h"
#include "token_sampler.h"

#include "ggml-cpu.h"
#include "llama-ext.h"
#include "llama-kv-cache-iswa.h"
#include "llama.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

using namespace llamafu;

namespace {

struct FreeThreadpool {
    void operator()(ggml_threadpool * pool) const { ggml_threadpool_free(pool); }
};

/// A context with the buffers that it shares with Java, its thread pool and its abort flag.
class DecodeContext {
public:
    DecodeContext(llama_model * model, llama_context_params params, bool mixed, bool deterministic, char * batch, char * round)
        : capacity_(params.n_batch), sequences_(params.n_seq_max), outputs_(params.n_outputs_max) {
        params.abort_callback = [](void * data) { return static_cast<std::atomic<bool> *>(data)->load(); };
        params.abort_callback_data = &aborted_;
        create(model, params);
        if (context_ == nullptr) {
            throw CodedError("OUT_OF_MEMORY", "llama.cpp could not create a context of " + std::to_string(params.n_ctx)
                + " key-value cells; lower context-size or parallel-sequences. Its log lines say more.");
        }
        // without this pool llama.cpp would start new threads in every step
        ggml_threadpool_params pool = ggml_threadpool_params_default(params.n_threads);
        pool_.reset(ggml_threadpool_new(&pool));
        if (pool_ == nullptr) {
            throw CodedError("OUT_OF_MEMORY", "Could not start " + std::to_string(params.n_threads) + " threads.");
        }
        llama_attach_threadpool(context_.get(), pool_.get(), pool_.get());
        {
            AbortGuard guard; // it builds the graphs
            adapters_.emplace(context_.get());
        }
        products_ = adapters_->products();
        if (deterministic) {
            require_fixed_order(params);
        }
        if (!mixed) {
            adapters_.reset(); // only needed for products()
            for (auto & [name, refusal] : products_) {
                refusal.clear(); // llama.cpp's own adapters, which all sequences share, have no such limits
            }
        }
        cells_.emplace(context_.get());
        lay_out(batch, round);
    }

    llama_context * get() const { return context_.get(); }
    llama_memory_t memory() const { return llama_get_memory(context_.get()); }
    SequenceAdapters * sequence_adapters() { return adapters_ ? &*adapters_ : nullptr; }
    const std::map<std::string, std::string> & products() const { return products_; }
    uint32_t most_outputs() const { return outputs_; }
    std::atomic<bool> & aborted() { return aborted_; }

    int32_t decode(int32_t tokens) {
        llama_batch batch = batch_;
        batch.n_tokens = tokens;
        return llama_decode(context_.get(), batch);
    }

    /// One for each token of the vocabulary.
    const float * logits(int32_t batch_row) const {
        const float * logits = llama_get_logits_ith(context_.get(), batch_row);
        if (logits == nullptr) {
            throw CodedError("ENGINE_FAILED", "Row " + std::to_string(batch_row) + " of the batch has no logits.");
        }
        return logits;
    }

    /// Removes the cells of a sequence from a position on. Returns false, and removes nothing, if the sequence could not be
    /// continued from there.
    bool remove_cells(llama_seq_id sequence, llama_pos from) {
        llama_synchronize(context_.get()); // the cells are zeroed, which must not race what a GPU still computes
        return (from == 0 || can_continue(sequence, from)) && llama_memory_seq_rm(memory(), sequence, from, -1);
    }

    const PrefixCells & cells() const { return *cells_; }

    /// Replaces the cells of `target` by the first `count` of `source`. Returns false, and changes nothing, if `target` could
    /// not be continued from them.
    bool copy_cells(llama_seq_id source, llama_seq_id target, llama_pos count) {
        llama_synchronize(context_.get());
        const bool possible = cells_->can_copy() && llama_memory_seq_pos_max(memory(), source) >= count - 1
            && can_continue(source, count);
        if (possible) {
            cells_->copy(source, target, count);
        }
        return possible;
    }

    bool park_cells(llama_seq_id source, llama_pos count, llama_seq_id holder, uint32_t first) {
        llama_synchronize(context_.get());
        return cells_->can_park() && cells_->park(source, count, holder, first);
    }

    void unpark_cells(llama_seq_id holder, uint32_t first, const std::vector<llama_token> & tokens, llama_seq_id target) {
        llama_synchronize(context_.get());
        cells_->unpark(holder, first, tokens, target);
    }

    /// Samples rows [0, rows) of the round; a row that fails gets token -1. Returns one line with code and message for
    /// each failed row.
    std::string sample(int32_t rows) {
        std::string failures;
        AbortGuard guard; // a failed row must not affect the others
        for (int32_t row = 0; row < rows; row++) {
            try {
                const float * scores = logits(round_index_[row]);
                round_token_[row] = from_handle<TokenSampler>(round_sampler_[row])->sample(scores);
            } catch (const CodedError & e) {
                round_token_[row] = -1;
                failures += failure(e.code(), e.what());
            } catch (const std::exception & e) {
                round_token_[row] = -1;
                failures += failure("ENGINE_FAILED", e.what());
            }
        }
        return failures;
    }

private:
    /// Whether everything that a token at this position sees is still there: states of recurrent models have no earlier
    /// version, and layers with a window overwrite what has left it.
    bool can_continue(llama_seq_id sequence, llama_pos position) const {
        const llama_model * model = llama_get_model(context_.get());
        if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model)) {
            return false;
        }
        const llama_pos window = llama_model_n_swa(model);
        if (window == 0) {
            return true;
        }
        const llama_pos first = llama_memory_seq_pos_min(memory(), sequence); // in the layers with a window
        return dynamic_cast<const llama_kv_cache_iswa *>(memory()) != nullptr && first >= 0
            && first <= std::max(0, position - window);
    }

    /// Throws unless a row of every batch is computed by itself.
    void require_fixed_order(const llama_context_params & params) {
        for (const uint32_t tokens : { params.n_seq_max, params.n_batch }) {
            AbortGuard guard;
            ggml_cgraph * graph = llama_graph_reserve(context_.get(), tokens, params.n_seq_max, params.n_seq_max);
            if (graph == nullptr) {
                throw CodedError("OUT_OF_MEMORY", "llama.cpp could not allocate its buffers; lower batch-size.");
            }
            const std::string reason = batch_dependence(graph);
            if (!reason.empty()) {
                throw CodedError("INVALID_OPTION",
                    "deterministic is true, but with this model on this machine an answer can depend on the other sequences of its batch: "
                        + reason + ". Use a model in a format of docs/performance.md, or switch deterministic off.");
            }
        }
    }

    static std::string failure(const std::string & code, std::string message) {
        std::replace_if(message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
        return code + ' ' + message + '\n';
    }

    /// Leaves `context_` null if there is not enough memory.
    void create(llama_model * model, const llama_context_params & params) {
        AbortGuard guard;
        context_.reset(llama_init_from_model(model, params));
        if (context_ == nullptr && !guard.message().empty()) {
            throw LlamaAbort(guard.message());
        }
        if (context_ != nullptr && memory() == nullptr) {
            throw CodedError("MODEL_INVALID",
                "The model has no memory of the tokens before, so it cannot generate; choose a decoder-only model.");
        }
    }

    /// The layouts of io.llamafu.llamacpp.DecodeBatch and SamplingRound.
    void lay_out(char * batch, char * round) {
        const size_t column = capacity_ * sizeof(int32_t);
        sequence_counts_.assign(capacity_, 1);
        sequence_pointers_.resize(capacity_);
        llama_seq_id * sequence = reinterpret_cast<llama_seq_id *>(batch + 2 * column);
        for (size_t i = 0; i < capacity_; i++) {
            sequence_pointers_[i] = sequence + i;
        }
        batch_.token = reinterpret_cast<llama_token *>(batch);
        batch_.pos = reinterpret_cast<llama_pos *>(batch + column);
        batch_.n_seq_id = sequence_counts_.data();
        batch_.seq_id = sequence_pointers_.data();
        batch_.logits = reinterpret_cast<int8_t *>(batch + 3 * column);

        round_sampler_ = reinterpret_cast<const jlong *>(round);
        round_index_ = reinterpret_cast<const int32_t *>(round + sequences_ * sizeof(jlong));
        round_token_ = reinterpret_cast<int32_t *>(round + sequences_ * (sizeof(jlong) + sizeof(int32_t)));
    }

    // Destroyed in reverse order: the adapters, then the context, then the threads it computes on.
    size_t capacity_;
    size_t sequences_;
    uint32_t outputs_;
    std::atomic<bool> aborted_{false};
    std::unique_ptr<ggml_threadpool, FreeThreadpool> pool_;
    ContextPointer context_;
    std::optional<SequenceAdapters> adapters_;
    std::optional<PrefixCells> cells_;
    std::map<std::string, std::string> products_;

    std::vector<int32_t> sequence_counts_;
    std::vector<llama_seq_id *> sequence_pointers_;
    llama_batch batch_{};
    const jlong * round_sampler_ = nullptr;
    const int32_t * round_index_ = nullptr;
    int32_t * round_token_ = nullptr;
};

std::vector<ScaledAdapter> to_stack(JNIEnv * env, jlongArray adapters, jfloatArray scales) {
    const std::vector<jlong> handles = to_vector(env, adapters);
    const std::vector<jfloat> factors = to_vector(env, scales);
    std::vector<ScaledAdapter> stack;
    for (size_t i = 0; i < handles.size(); i++) {
        stack.push_back({from_handle<llama_adapter_lora>(handles[i]), factors[i]});
    }
    return stack;
}

std::vector<float> logits_of(const float * logits, const std::vector<jint> & tokens) {
    std::vector<float> values;
    for (const jint token : tokens) {
        values.push_back(logits[token]);
    }
    return values;
}

/// The logarithm of the sum of exp(logit).
float log_sum(const float * logits, int32_t size) {
    const float most = *std::max_element(logits, logits + size);
    double sum = 0;
    for (int32_t i = 0; i < size; i++) {
        sum += static_cast<double>(std::exp(logits[i] - most));
    }
    return most + static_cast<float>(std::log(sum));
}

void set_floats(JNIEnv * env, jfloatArray array, const std::vector<float> & values) {
    env->SetFloatArrayRegion(array, 0, static_cast<jsize>(values.size()), values.data());
    if (env->ExceptionCheck() == JNI_TRUE) {
        throw JavaExceptionPending();
    }
}

char * address_of(JNIEnv * env, jobject buffer, size_t needed) {
    void * address = env->GetDirectBufferAddress(buffer);
    if (address == nullptr || static_cast<size_t>(env->GetDirectBufferCapacity(buffer)) < needed) {
        throw CodedError("ENGINE_FAILED", "A buffer shared with llama.cpp is not direct or too small.");
    }
    return static_cast<char *>(address);
}

} // namespace

extern "C" {

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_createContext(JNIEnv * env, jclass, jlong model,
    jint cells_per_sequence, jint max_sequences, jint batch_size, jint threads, jboolean mixed, jboolean deterministic,
    jobject batch, jobject round) {
    return guarded(env, jlong{0}, [&] {
        const llama_context_params params = context_params({static_cast<uint32_t>(cells_per_sequence),
            static_cast<uint32_t>(max_sequences), static_cast<uint32_t>(batch_size), threads,
            vocabulary_of(from_handle<llama_model>(model)), deterministic == JNI_TRUE});
        char * batch_address = address_of(env, batch, params.n_batch * (3 * sizeof(int32_t) + 1));
        char * round_address = address_of(env, round, params.n_seq_max * (sizeof(jlong) + 2 * sizeof(int32_t)));
        try {
            return to_handle(new DecodeContext(
                from_handle<llama_model>(model), params, mixed == JNI_TRUE, deterministic == JNI_TRUE, batch_address,
                round_address));
        } catch (const LlamaAbort & e) {
            throw CodedError("MODEL_LOAD_FAILED", std::string("llama.cpp cannot compute with this model; ") + e.what());
        }
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_freeContext(JNIEnv * env, jclass, jlong context) {
    guarded(env, [&] { delete from_handle<DecodeContext>(context); });
}

JNIEXPORT jint JNICALL Java_io_llamafu_llamacpp_LlamaCpp_mostOutputs(JNIEnv *, jclass, jlong context) {
    return static_cast<jint>(from_handle<DecodeContext>(context)->most_outputs());
}

JNIEXPORT jint JNICALL Java_io_llamafu_llamacpp_LlamaCpp_decode(JNIEnv * env, jclass, jlong context, jint tokens) {
    return guarded(env, jint{-3}, [&] { return from_handle<DecodeContext>(context)->decode(tokens); });
}

JNIEXPORT jbyteArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_sample(
    JNIEnv * env, jclass, jlong context, jint rows) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] {
        const std::string failures = from_handle<DecodeContext>(context)->sample(rows);
        return failures.empty() ? nullptr : to_java(env, failures);
    });
}

JNIEXPORT jint JNICALL Java_io_llamafu_llamacpp_LlamaCpp_choose(JNIEnv * env, jclass, jlong context, jlong sampler,
    jint batch_row, jintArray candidates, jfloatArray chosen_from) {
    return guarded(env, jint{-1}, [&] {
        const std::vector<jint> tokens = to_vector(env, candidates);
        const float * logits = from_handle<DecodeContext>(context)->logits(batch_row);
        const AbortGuard guard;
        const llama_token token = from_handle<TokenSampler>(sampler)->choose_among(logits, tokens);
        set_floats(env, chosen_from, logits_of(logits, tokens));
        return jint{token};
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_acceptTokens(
    JNIEnv * env, jclass, jlong sampler, jintArray tokens, jint from) {
    guarded(env, [&] {
        const std::vector<jint> accepted = to_vector(env, tokens);
        const AbortGuard guard;
        for (size_t i = static_cast<size_t>(from); i < accepted.size(); i++) {
            from_handle<TokenSampler>(sampler)->accept(accepted[i]);
        }
    });
}

JNIEXPORT jfloatArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_logProbabilities(
    JNIEnv * env, jclass, jlong context, jint batch_row, jintArray tokens) {
    return guarded(env, static_cast<jfloatArray>(nullptr), [&] {
        const DecodeContext * decode = from_handle<DecodeContext>(context);
        const float * logits = decode->logits(batch_row);
        const int32_t size = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(decode->get())));
        require_finite(logits, size);
        std::vector<float> values = logits_of(logits, to_vector(env, tokens));
        const float all = log_sum(logits, size);
        for (float & value : values) {
            value -= all;
        }
        jfloatArray result = env->NewFloatArray(static_cast<jsize>(values.size()));
        if (result == nullptr) {
            throw JavaExceptionPending();
        }
        set_floats(env, result, values);
        return result;
    });
}

JNIEXPORT jfloatArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_logits(
    JNIEnv * env, jclass, jlong context, jint batch_row) {
    return guarded(env, static_cast<jfloatArray>(nullptr), [&] {
        const DecodeContext * decode = from_handle<DecodeContext>(context);
        const float * logits = decode->logits(batch_row);
        const jsize count = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(decode->get())));
        jfloatArray result = env->NewFloatArray(count);
        if (result == nullptr) {
            throw JavaExceptionPending();
        }
        env->SetFloatArrayRegion(result, 0, count, logits);
        return result;
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_abort(JNIEnv *, jclass, jlong context) {
    from_handle<DecodeContext>(context)->aborted() = true;
}

JNIEXPORT jboolean JNICALL Java_io_llamafu_llamacpp_LlamaCpp_removeCells(
    JNIEnv * env, jclass, jlong context, jint sequence, jint from) {
    return guarded(env, jboolean{JNI_FALSE}, [&]() -> jboolean {
        return from_handle<DecodeContext>(context)->remove_cells(sequence, from);
    });
}

/// How cells can be reused, besides by the sequence that has them: 0 not, 1 as copies, 2 also parked.
JNIEXPORT jint JNICALL Java_io_llamafu_llamacpp_LlamaCpp_cellSharing(JNIEnv *, jclass, jlong context) {
    const PrefixCells & cells = from_handle<DecodeContext>(context)->cells();
    return cells.can_copy() + cells.can_park();
}

JNIEXPORT jboolean JNICALL Java_io_llamafu_llamacpp_LlamaCpp_copyCells(
    JNIEnv * env, jclass, jlong context, jint source, jint target, jint count) {
    return guarded(env, jboolean{JNI_FALSE}, [&]() -> jboolean {
        return from_handle<DecodeContext>(context)->copy_cells(source, target, count);
    });
}

JNIEXPORT jboolean JNICALL Java_io_llamafu_llamacpp_LlamaCpp_parkCells(
    JNIEnv * env, jclass, jlong context, jint source, jint count, jint holder, jint first) {
    return guarded(env, jboolean{JNI_FALSE}, [&]() -> jboolean {
        return from_handle<DecodeContext>(context)->park_cells(source, count, holder, first);
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_unparkCells(
    JNIEnv * env, jclass, jlong context, jint holder, jint first, jintArray tokens, jint target) {
    guarded(env, [&] {
        from_handle<DecodeContext>(context)->unpark_cells(holder, first, to_vector(env, tokens), target);
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_setContextAdapters(
    JNIEnv * env, jclass, jlong context, jlongArray adapters, jfloatArray scales) {
    guarded(env, [&] {
        std::vector<llama_adapter_lora *> stack;
        std::vector<float> factors;
        for (const ScaledAdapter & entry : added_up(to_stack(env, adapters, scales))) {
            stack.push_back(entry.adapter);
            factors.push_back(entry.scale);
        }
        llama_set_adapters_lora(
            from_handle<DecodeContext>(context)->get(), stack.data(), stack.size(), factors.data());
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_setSequenceAdapters(
    JNIEnv * env, jclass, jlong context, jint sequence, jlongArray adapters, jfloatArray scales) {
    guarded(env, [&] {
        from_handle<DecodeContext>(context)->sequence_adapters()->set(sequence, to_stack(env, adapters, scales));
    });
}

/// One line for each weight that can be adapted: its name, a blank, and why adapters of it are refused, or nothing.
JNIEXPORT jbyteArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_products(JNIEnv * env, jclass, jlong context) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] {
        std::string lines;
        for (const auto & [name, refusal] : from_handle<DecodeContext>(context)->products()) {
            lines += name + ' ' + refusal + '\n';
        }
        return to_java(env, lines);
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_releaseAdapter(
    JNIEnv * env, jclass, jlong context, jlong adapter) {
    guarded(env, [&] {
        DecodeContext * decode = from_handle<DecodeContext>(context);
        if (SequenceAdapters * adapters = decode->sequence_adapters()) {
            adapters->release(from_handle<llama_adapter_lora>(adapter));
        } else {
            llama_set_adapters_lora(decode->get(), nullptr, 0, nullptr);
        }
    });
}

/// {weights, key-value cache, scratch} in bytes
JNIEXPORT jlongArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_memory(JNIEnv * env, jclass, jlong context) {
    return guarded(env, static_cast<jlongArray>(nullptr), [&] {
        return to_java_longs(env, memory_of(from_handle<DecodeContext>(context)->get()));
    });
}

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_createSampler(JNIEnv * env, jclass, jlong model, jlong grammars,
    jbyteArray sampling_numbers, jintArray bias_tokens, jfloatArray biases, jbyteArray grammar) {
    return guarded(env, jlong{0}, [&] {
        const std::vector<jint> tokens = to_vector(env, bias_tokens);
        const std::vector<jfloat> values = to_vector(env, biases);
        std::vector<llama_logit_bias> logit_bias;
        for (size_t i = 0; i < tokens.size(); i++) {
            logit_bias.push_back({tokens[i], values[i]});
        }
        return to_handle(new TokenSampler(llama_model_get_vocab(from_handle<llama_model>(model)),
            *from_handle<GrammarCache>(grammars), to_struct<SamplingNumbers>(env, sampling_numbers), logit_bias, to_string(env, grammar)));
    });
}

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_createGrammars(JNIEnv * env, jclass, jlong model) {
    return guarded(env, jlong{0}, [&] {
        return to_handle(new GrammarCache(llama_model_get_vocab(from_handle<llama_model>(model))));
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_freeGrammars(JNIEnv * env, jclass, jlong grammars) {
    guarded(env, [&] { delete from_handle<GrammarCache>(grammars); });
}

JNIEXPORT jintArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_takeForced(
    JNIEnv * env, jclass, jlong sampler, jint most) {
    return guarded(env, static_cast<jintArray>(nullptr), [&] {
        const AbortGuard guard;
        const std::vector<llama_token> & tokens = from_handle<TokenSampler>(sampler)->take_forced(static_cast<size_t>(most));
        jintArray result = env->NewIntArray(static_cast<jsize>(tokens.size()));
        if (result == nullptr) {
            throw JavaExceptionPending();
        }
        env->SetIntArrayRegion(result, 0, static_cast<jsize>(tokens.size()), tokens.data());
        return result;
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_freeSampler(JNIEnv * env, jclass, jlong sampler) {
    guarded(env, [&] { delete from_handle<TokenSampler>(sampler); });
}

} // extern "C"
