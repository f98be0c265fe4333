#pragma once

#include "llama.h"
#include "lora_kernels.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llamafu {

/// How the LoRA part of a graph is computed.
enum class LoraPath {
    automatic, ///< per weight: `cpu` where it lies in host memory, `generic` elsewhere
    cpu,       ///< our kernels, which read only the adapters that have rows in the batch; MoE experts stay generic
    generic,   ///< ordinary ggml operations, for any backend; every resident adapter costs, rows or not
};

/// An adapter and its strength; any finite scale, 0 switches the adapter off.
struct ScaledAdapter {
    llama_adapter_lora * adapter;
    float scale;
};

/// The stack with each adapter once. Names of one content share an adapter, so a stack may name it several times; the
/// scales add up, and llama_set_adapters_lora would take the first.
std::vector<ScaledAdapter> added_up(const std::vector<ScaledAdapter> & stack);

/// Lays an adapter out for SequenceAdapters, which is faster with it then. llama_set_adapters_lora cannot use it any more.
/// Call it before the first sequence gets the adapter.
void prepare_for_sequences(llama_adapter_lora & adapter);

/// Gives every sequence of a context its own stack of adapters, so that one batch mixes them.
///
/// Sequences start with an empty stack, the base model. All calls belong to the thread that decodes, between decodes;
/// adapters may be loaded and freed by other threads meanwhile. A token of several sequences takes the stack of its first.
/// `llama_set_adapters_lora` must not be used on the same context. The object must die before the context.
class SequenceAdapters {
public:
    /// Throws std::invalid_argument for encoder-decoder models.
    explicit SequenceAdapters(llama_context * context, LoraPath path = LoraPath::automatic, CpuLevel level = best_cpu_level());
    ~SequenceAdapters();
    SequenceAdapters(const SequenceAdapters &) = delete;
    SequenceAdapters & operator=(const SequenceAdapters &) = delete;

    /// Scales of an adapter that is named twice add up. Throws std::invalid_argument, and changes nothing, when the
    /// sequence is out of range or when an adapter cannot be served: a weight type without kernel, or a tensor that
    /// the model does not multiply row by row.
    void set(llama_seq_id sequence, const std::vector<ScaledAdapter> & stack);

    /// The weights that the model multiplies, by name; a text that is not empty says why adapters of one are refused.
    std::map<std::string, std::string> products() const;

    /// Forgets an adapter that no sequence uses; required before llama_adapter_lora_free.
    void release(const llama_adapter_lora * adapter);

private:
    class Router;
    std::unique_ptr<Router> router_;
};

} // namespace llamafu
