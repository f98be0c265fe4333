#pragma once

#include "llama-kv-cache.h"
#include "llama.h"

#include <vector>

namespace llamafu {

/// Copies the key-value cells of a prompt's beginning from one sequence to another, where the memory of the model allows it.
/// llama.cpp itself copies whole streams. Positions, not cells, are counted; nothing may be computing meanwhile.
class PrefixCells {
public:
    explicit PrefixCells(const llama_context * context);

    /// Whether `copy` is possible: every layer has a key-value cache, with or without a window.
    bool can_copy() const { return !caches_.empty(); }

    /// Whether `park` and `unpark` are possible too: no layer has a window, and a cell is no more than its token and position.
    bool can_park() const { return can_park_; }

    /// Replaces all cells of `target` by copies of the first `count` of `source`, which must have them.
    void copy(llama_seq_id source, llama_seq_id target, llama_pos count);

    /// Copies what the first `count` cells of `source` hold into cells `first` and following of `holder`. They stay empty for
    /// llama.cpp, so attention may read, but never weigh them. Returns false, and the copy is worthless, if a value is not
    /// finite, or if the cells are in use.
    bool park(llama_seq_id source, llama_pos count, llama_seq_id holder, uint32_t first);

    /// Replaces all cells of `target` by those of `tokens`, which were parked.
    void unpark(llama_seq_id holder, uint32_t first, const std::vector<llama_token> & tokens, llama_seq_id target);

private:
    std::vector<llama_kv_cache *> caches_; // of all layers, of those with a window; empty if they cannot be copied
    bool can_park_ = false;
};

} // namespace llamafu
