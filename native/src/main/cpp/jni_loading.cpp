// JNI entries for loading models and predicting their memory: io.llamafu.llamacpp.LlamaCpp.

#include "abort_guard.h"
#include "jni_support.h"
#include "loading.h"
#include "lora_routing.h"
#include "packed_weights.h"

#include "llama-ext.h"
#include "llama.h"

#include <algorithm>
#include <memory>
#include <optional>

namespace llamafu {

namespace {

struct FreeModel {
    void operator()(llama_model * model) const { llama_model_free(model); }
};

std::string on_gpu(const Placement & placement) {
    return placement.gpu_layers != 0 && placement.gpu_device >= 0
        ? " on GPU " + std::to_string(placement.gpu_device)
        : "";
}

/// Never null.
llama_model * load(const std::string & file, const Placement & placement, const llama_model_params & params) {
    AbortGuard guard;
    std::optional<PlainWeights> plain;
    if (!placement.pack) {
        plain.emplace();
    }
    llama_model * model = llama_model_load_from_file(file.c_str(), params);
    if (model == nullptr) {
        const std::string reason = guard.message().empty() ? "its log lines say why." : guard.message();
        throw CodedError("MODEL_LOAD_FAILED",
            "llama.cpp refused the model " + file + on_gpu(placement) + "; " + reason);
    }
    return model;
}

/// Asks Java before each tensor whether to continue.
struct Cancellation {
    JNIEnv * env;
    jobject going_on;
    jmethodID as_boolean;

    bool goes_on() const {
        return env->CallBooleanMethod(going_on, as_boolean) == JNI_TRUE && env->ExceptionCheck() == JNI_FALSE;
    }
};

} // namespace

uint32_t vocabulary_of(const llama_model * model) {
    return static_cast<uint32_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
}

llama_model_params model_params(const Placement & placement) {
    llama_model_params params = llama_model_default_params();
    params.load_mode = placement.map ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
    // unless it is mapped, the file must not be needed later, so no tensor may stay in it
    params.lazy_mode = placement.map ? LLAMA_LAZY_MODE_AUTO : LLAMA_LAZY_MODE_OFF;
    params.n_gpu_layers = placement.gpu_layers;
    if (placement.gpu_layers != 0 && placement.gpu_device >= 0) {
        params.split_mode = LLAMA_SPLIT_MODE_NONE;
        params.main_gpu = placement.gpu_device;
        // llama.cpp rejects an index beyond the GPUs it sees, but if it sees none it silently uses the CPU.
        if (!llama_supports_gpu_offload()) {
            throw CodedError("INVALID_OPTION", "Layers of the model belong" + on_gpu(placement)
                    + ", but llama.cpp sees no GPU; set gpu-layers to 0, or build the library for the GPU.");
        }
    }
    return params;
}

uint32_t most_outputs(const ContextSize & size) {
    constexpr size_t most_bytes = size_t{8} << 20; // the logits of a large vocabulary would need more memory than a model
    constexpr uint32_t most_more = 48;
    const size_t more = most_bytes / (sizeof(float) * std::max(size.vocabulary, uint32_t{1}));
    return std::min(size.sequences + std::min(static_cast<uint32_t>(more), most_more), size.batch);
}

llama_context_params context_params(const ContextSize & size) {
    llama_context_params params = llama_context_default_params();
    params.n_seq_max = size.sequences;
    params.n_ctx = size.cells_per_sequence * size.sequences;
    params.n_batch = size.batch;
    params.n_ubatch = size.batch;
    params.n_outputs_max = most_outputs(size);
    params.n_threads = size.threads;
    params.n_threads_batch = size.threads;
    // Separate cells per sequence: attention reads only its own, which is faster for unrelated records.
    params.kv_unified = false;
    // Layers with a sliding window keep the window and a batch, not all tokens, unless new ones must not take the cells of
    // those that left it: which these are depends on the batches.
    params.swa_full = size.in_order;
    // Our nodes modify a result in host memory in place. The scheduler could compute the product before them on a GPU
    // that has a copy of the weights, and our change to the copy would be lost.
    params.op_offload = false;
    params.no_perf = true;
    return params;
}

std::array<int64_t, 3> memory_of(const llama_context * context) {
    std::array<int64_t, 3> bytes{};
    for (const auto & [type, figures] : llama_get_memory_breakdown(context)) {
        (void) type;
        bytes[0] += static_cast<int64_t>(figures.model);
        bytes[1] += static_cast<int64_t>(figures.context);
        bytes[2] += static_cast<int64_t>(figures.compute);
    }
    return bytes;
}

} // namespace llamafu

using namespace llamafu;

extern "C" {

JNIEXPORT jlong JNICALL Java_io_llamafu_llamacpp_LlamaCpp_loadModel(JNIEnv * env, jclass, jbyteArray path,
    jint gpu_layers, jint gpu_device, jboolean map, jboolean packed, jobject going_on) {
    return guarded(env, jlong{0}, [&] {
        Cancellation cancellation{env, going_on,
            env->GetMethodID(env->GetObjectClass(going_on), "getAsBoolean", "()Z")};
        if (cancellation.as_boolean == nullptr) {
            throw JavaExceptionPending();
        }
        const Placement placement{gpu_layers, gpu_device, map == JNI_TRUE, packed == JNI_TRUE};
        llama_model_params params = model_params(placement);
        params.progress_callback = [](float, void * data) { return static_cast<Cancellation *>(data)->goes_on(); };
        params.progress_callback_user_data = &cancellation;
        try {
            return to_handle(load(to_string(env, path), placement, params));
        } catch (const CodedError &) {
            if (env->ExceptionCheck() == JNI_TRUE) {
                throw JavaExceptionPending();
            }
            throw;
        }
    });
}

/// {weights, memory, scratch} in bytes of what loadModel and createContext would allocate.
JNIEXPORT jlongArray JNICALL Java_io_llamafu_llamacpp_LlamaCpp_memoryNeeded(JNIEnv * env, jclass, jbyteArray path,
    jint gpu_layers, jint gpu_device, jboolean packed, jint cells_per_sequence, jint sequences, jint batch,
    jint threads, jboolean deterministic) {
    return guarded(env, static_cast<jlongArray>(nullptr), [&] {
        const Placement placement{gpu_layers, gpu_device, false, packed == JNI_TRUE};
        llama_model_params params = model_params(placement);
        params.no_alloc = true; // reads only the header, and computes the placement of everything
        const std::string file = to_string(env, path);
        std::unique_ptr<llama_model, FreeModel> model(load(file, placement, params));
        AbortGuard guard;
        ContextPointer context(llama_init_from_model(model.get(),
            context_params({static_cast<uint32_t>(cells_per_sequence), static_cast<uint32_t>(sequences),
                static_cast<uint32_t>(batch), threads, vocabulary_of(model.get()), deterministic == JNI_TRUE})));
        if (context == nullptr) {
            throw CodedError("MODEL_LOAD_FAILED", "llama.cpp cannot compute with the model " + file + "; "
                + (guard.message().empty() ? "its log lines say why." : guard.message()));
        }
        const SequenceAdapters adapters(context.get()); // our nodes change what a graph needs
        return to_java_longs(env, memory_of(context.get()));
    });
}

} // extern "C"
