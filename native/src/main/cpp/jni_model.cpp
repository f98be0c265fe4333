// JNI of models, vocabularies and adapters: io.llamafu.llamacpp.LlamaCpp.

#include "abort_guard.h"
#include "buffer_pages.h"
#include "jni_support.h"
#include "log_queue.h"
#include "lora_routing.h"
#include "packed_weights.h"
#include "paced_file.h"
#include "split_pattern.h"
#include "token_text.h"

#include "llama-adapter.h"
#include "llama-model.h"
#include "llama.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// patch 0003: beyond it, tokenizing throws std::length_error
extern thread_local size_t llama_tokenizer_limit;
// patch 0006: outside of them, control strings are plain characters; null is nowhere
extern thread_local const std::vector<std::pair<size_t, size_t>> * llama_control_ranges;

using namespace llamafu;

namespace {

/// Limits the tokens of a text on this thread while it lives.
class TokenLimit {
public:
    explicit TokenLimit(size_t most) { llama_tokenizer_limit = most; }
    ~TokenLimit() { llama_tokenizer_limit = SIZE_MAX; }
    TokenLimit(const TokenLimit &) = delete;
    TokenLimit & operator=(const TokenLimit &) = delete;
};

/// Where a text may hold control tokens, for this thread while it lives.
class ControlRanges {
public:
    /// The lengths of the text's parts, alternately without and with control tokens.
    explicit ControlRanges(const std::vector<jint> & lengths) {
        size_t begin = 0;
        bool all = true;
        bool allowed = false;
        for (const jint length : lengths) {
            const size_t end = begin + static_cast<size_t>(length);
            if (allowed) {
                ranges_.emplace_back(begin, end);
            } else {
                all = all && length == 0;
            }
            begin = end;
            allowed = !allowed;
        }
        llama_control_ranges = all ? nullptr : &ranges_;
    }
    ~ControlRanges() { llama_control_ranges = nullptr; }
    ControlRanges(const ControlRanges &) = delete;
    ControlRanges & operator=(const ControlRanges &) = delete;

private:
    std::vector<std::pair<size_t, size_t>> ranges_;
};

/// Whether a text has more bytes than `most` tokens can hold. The exceptions are special tokens that strip the blanks beside
/// them, and bytes that the vocabulary lacks.
bool is_longer_than(const llama_vocab * vocab, const std::string & text, size_t most) {
    constexpr size_t ordinary_token = 16;
    if (text.size() / ordinary_token <= most) {
        return false;
    }
    size_t longest = 1;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
        longest = std::max(longest, std::strlen(llama_vocab_get_text(vocab, token)));
    }
    return text.size() / longest > most;
}

/// Adds the tokens that the model wants around a text, but no second beginning-of-sequence token.
void add_begin_and_end(const llama_vocab * vocab, std::vector<llama_token> & tokens) {
    const enum llama_vocab_type type = llama_vocab_type(vocab);
    if (type != LLAMA_VOCAB_TYPE_SPM && type != LLAMA_VOCAB_TYPE_BPE) {
        return; // the other tokenizers that can write text add none
    }
    if (llama_vocab_get_add_bos(vocab)) {
        const llama_token begin = llama_vocab_bos(vocab);
        GGML_ASSERT(begin != LLAMA_TOKEN_NULL);
        const bool is_written = !tokens.empty() && tokens.front() == begin && llama_vocab_is_control(vocab, begin);
        if (!is_written) {
            tokens.insert(tokens.begin(), begin);
        }
    }
    if (llama_vocab_get_add_eos(vocab)) {
        GGML_ASSERT(llama_vocab_eos(vocab) != LLAMA_TOKEN_NULL);
        tokens.push_back(llama_vocab_eos(vocab));
    }
}

/// The tokens of a text as a whole prompt; nothing if there are more than `most`.
std::optional<std::vector<llama_token>> tokenize(const llama_vocab * vocab, const std::string & text, size_t most) {
    if (is_longer_than(vocab, text, most)) {
        return std::nullopt;
    }
    std::vector<llama_token> tokens(std::min(text.size() + 2, most));
    const TokenLimit limit(most);
    const AbortGuard guard; // a vocabulary may lack a token that its tokenizer adds
    try {
        while (true) {
            const int64_t count = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                static_cast<int32_t>(tokens.size()), false, true);
            if (count >= 0) {
                tokens.resize(static_cast<size_t>(count));
                if (std::any_of(tokens.begin(), tokens.end(), [](llama_token token) { return token < 0; })) {
                    throw CodedError("INVALID_TEXT", "The text has a character for which the model has no token.");
                }
                add_begin_and_end(vocab, tokens);
                return tokens.size() <= most ? std::make_optional(std::move(tokens)) : std::nullopt;
            }
            const size_t needed = static_cast<size_t>(-count);
            if (needed > most) {
                return std::nullopt;
            }
            tokens.resize(needed);
        }
    } catch (const std::length_error &) {
        return std::nullopt;
    }
}

void append(std::string & out, int32_t value) {
    out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

} // namespace

extern "C" {

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_initialize(JNIEnv * env, jclass) {
    guarded(env, [] {
        capture_log();
        install_abort_guard();
        use_split_patterns();
        use_packed_weights();
        llama_backend_init();
    });
}

JNIEXPORT jbyteArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_drainLog(JNIEnv * env, jclass) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] { return to_java(env, drain_log()); });
}

/// glibc keeps freed memory in its arenas, one for each of many threads, so a process that reopens models would grow.
JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_freeModel(JNIEnv * env, jclass, jlong model) {
    guarded(env, [&] {
        llama_model_free(from_handle<llama_model>(model));
        release_kept_buffers(std::chrono::milliseconds(0));
#ifdef __GLIBC__
        malloc_trim(0);
#endif
    });
}

/// {trained context, vocabulary size, weight bytes, parameters, 1 if it decodes token after token and each sees only those
/// before it}
JNIEXPORT jlongArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_modelFigures(JNIEnv * env, jclass, jlong handle) {
    return guarded(env, static_cast<jlongArray>(nullptr), [&] {
        const llama_model * model = from_handle<llama_model>(handle);
        const bool decoder = llama_model_has_decoder(model) && !llama_model_has_encoder(model)
            && !llama_model_is_diffusion(model) && model->hparams.causal_attn;
        return to_java_longs(env, std::array<jlong, 5>{
            llama_model_n_ctx_train(model),
            llama_vocab_n_tokens(llama_model_get_vocab(model)),
            static_cast<jlong>(llama_model_size(model)),
            static_cast<jlong>(llama_model_n_params(model)),
            decoder,
        });
    });
}

JNIEXPORT jbyteArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_modelDescription(JNIEnv * env, jclass, jlong model) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] {
        char text[256] = {};
        llama_model_desc(from_handle<llama_model>(model), text, sizeof text);
        return to_java(env, text);
    });
}

/// Native-endian int32 n, int32 offsets[n + 1] into the pieces, n bytes that are 1 for end-of-generation tokens, pieces.
JNIEXPORT jbyteArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_vocabulary(JNIEnv * env, jclass, jlong model) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] {
        const llama_vocab * vocab = llama_model_get_vocab(from_handle<llama_model>(model));
        const int32_t size = llama_vocab_n_tokens(vocab);
        std::string offsets;
        std::string ends;
        std::string pieces;
        const AbortGuard guard;
        append(offsets, size);
        append(offsets, 0);
        for (llama_token token = 0; token < size; token++) {
            pieces += token_text(vocab, token, false);
            append(offsets, static_cast<int32_t>(pieces.size()));
            ends += llama_vocab_is_eog(vocab, token) ? '\1' : '\0';
        }
        return to_java(env, offsets + ends + pieces);
    });
}

/// Null for a text of more than `most` tokens; it is not tokenized to its end if that shows before.
JNIEXPORT jintArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_tokenize(
    JNIEnv * env, jclass, jlong model, jbyteArray utf8, jintArray parts, jint most) {
    return guarded(env, static_cast<jintArray>(nullptr), [&] {
        const llama_vocab * vocab = llama_model_get_vocab(from_handle<llama_model>(model));
        const ControlRanges ranges(to_vector(env, parts));
        const std::optional<std::vector<llama_token>> tokens =
            tokenize(vocab, to_string(env, utf8), static_cast<size_t>(most));
        if (!tokens) {
            return static_cast<jintArray>(nullptr);
        }
        const jsize count = static_cast<jsize>(tokens->size());
        jintArray result = env->NewIntArray(count);
        if (result == nullptr) {
            throw JavaExceptionPending();
        }
        env->SetIntArrayRegion(result, 0, count, tokens->data());
        return result;
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_lowerThreadPriority(JNIEnv *, jclass) {
    // on Linux niceness is per thread; failing to raise it is harmless
    constexpr int niceness = 10;
    (void) setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
}

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_loadAdapter(
    JNIEnv * env, jclass, jlong model, jbyteArray path, jboolean mixed, jobject give_way) {
    return guarded(env, jlong{0}, [&] {
        const std::string file = to_string(env, path);
        const jmethodID run = env->GetMethodID(env->GetObjectClass(give_way), "run", "()V");
        if (run == nullptr) {
            throw JavaExceptionPending();
        }
        PacedFile paced(file, [&] {
            env->CallVoidMethod(give_way, run);
            return env->ExceptionCheck() == JNI_FALSE;
        });
        BufferReuse reuse;
        llama_adapter_lora * adapter =
            llama_adapter_lora_init_from_file_ptr(from_handle<llama_model>(model), paced.stream());
        if (adapter == nullptr && env->ExceptionCheck() == JNI_TRUE) {
            throw JavaExceptionPending();
        }
        if (adapter == nullptr) {
            throw CodedError("ADAPTER_LOAD_FAILED",
                "llama.cpp refused the adapter " + file + "; its log lines say why.");
        }
        if (mixed == JNI_TRUE) {
            prepare_for_sequences(*adapter);
        }
        return to_handle(adapter);
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_freeAdapter(JNIEnv * env, jclass, jlong adapter) {
    guarded(env, [&] {
        BufferReuse reuse;
        llama_adapter_lora_free(from_handle<llama_adapter_lora>(adapter));
    });
}

JNIEXPORT void JNICALL Java_io_llamafu_llamacpp_LlamaCpp_releaseAdapterMemory(JNIEnv * env, jclass, jint age) {
    guarded(env, [&] { release_kept_buffers(std::chrono::milliseconds(age)); });
}

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_adapterBytes(JNIEnv * env, jclass, jlong adapter) {
    return guarded(env, jlong{0}, [&] {
        jlong bytes = 0;
        for (const auto & buffer : from_handle<llama_adapter_lora>(adapter)->bufs) {
            bytes += static_cast<jlong>(ggml_backend_buffer_get_size(buffer.get()));
        }
        return bytes;
    });
}

} // extern "C"
