#include "prefix_cells.h"

#include "llama-kv-cache-iswa.h"

#include <algorithm>

/// A friend of llama_kv_cache, see patch 0008.
struct llamafu_cells {
    explicit llamafu_cells(llama_kv_cache & of) : cache(of) {}

    bool can_copy() const {
        return cache.other == nullptr && !cache.get_has_shift();
    }

    bool can_park() const {
        return cache.n_swa == 0 && !cache.has_cell_ext()
            && std::all_of(cache.layers.begin(), cache.layers.end(), [](const auto & layer) {
                   return layer.k->type == GGML_TYPE_F16 && (layer.v == nullptr || layer.v->type == GGML_TYPE_F16);
               });
    }

    void copy(llama_seq_id source, llama_seq_id target, llama_pos count) {
        const uint32_t from = cache.seq_to_stream[source];
        const llama_kv_cells & cells = cache.v_cells[from];
        cache.rm_cells(target, -1, -1);
        const auto wanted = [&](uint32_t i) {
            return !cells.is_empty(i) && cells.seq_has(i, source) && cells.pos_get(i) < count;
        };
        uint32_t taken = 0;
        for (uint32_t i = 0; i < cells.used_max_p1(); ++i) {
            const uint32_t first = i;
            while (i < cells.used_max_p1() && wanted(i)) {
                take(target, taken + i - first, cells.pos_get(i), cells.ext_get(i));
                ++i;
            }
            move(from, first, cache.seq_to_stream[target], taken, i - first);
            taken += i - first;
        }
        taken_by(target, taken);
    }

    bool park(llama_seq_id source, llama_pos count, llama_seq_id holder, uint32_t first) {
        const uint32_t from = cache.seq_to_stream[source];
        const uint32_t to = cache.seq_to_stream[holder];
        const llama_kv_cells & cells = cache.v_cells[from];
        // cells below v_clean are zeroed when they are freed
        bool possible = first >= cache.v_clean[to] && first + count <= cells.size();
        for (llama_pos i = 0; possible && i < count; ++i) {
            possible = !cells.is_empty(i) && cells.seq_has(i, source) && cells.pos_get(i) == i;
        }
        bool finite = possible;
        pieces(from, 0, to, first, possible ? count : 0, [&](ggml_tensor * t, size_t offset, ggml_tensor * copy, size_t copied, size_t bytes) {
            if (finite) {
                scratch.resize(bytes / sizeof(uint16_t));
                ggml_backend_tensor_get(t, scratch.data(), offset, bytes);
                finite = is_finite(scratch);
                ggml_backend_tensor_set(copy, scratch.data(), copied, bytes);
            }
        });
        return finite;
    }

    void unpark(llama_seq_id holder, uint32_t first, const std::vector<llama_token> & tokens, llama_seq_id target) {
        cache.rm_cells(target, -1, -1);
        move(cache.seq_to_stream[holder], first, cache.seq_to_stream[target], 0, tokens.size());
        for (uint32_t i = 0; i < tokens.size(); ++i) {
            llama_kv_cell_ext ext;
            ext.tok = tokens[i];
            take(target, i, i, ext);
        }
        taken_by(target, tokens.size());
    }

private:
    void take(llama_seq_id sequence, uint32_t cell, llama_pos position, const llama_kv_cell_ext & ext) {
        llama_kv_cells & cells = cache.v_cells[cache.seq_to_stream[sequence]];
        cells.pos_set(cell, position);
        cells.ext_set(cell, ext);
        cells.seq_add(cell, sequence);
    }

    /// The sequence has its first cells; those after them were not zeroed yet.
    void taken_by(llama_seq_id sequence, uint32_t count) {
        const uint32_t stream = cache.seq_to_stream[sequence];
        cache.v_heads[stream] = count;
        cache.v_clean[stream] = std::max(cache.v_clean[stream], count);
        cache.zero_free_cells(stream);
    }

    void move(uint32_t from, uint32_t first, uint32_t to, uint32_t target, uint32_t count) {
        pieces(from, first, to, target, count, [](ggml_tensor * t, size_t offset, ggml_tensor * copy, size_t copied, size_t bytes) {
            ggml_tensor source = bytes_of(t, offset, bytes);
            ggml_tensor destination = bytes_of(copy, copied, bytes);
            ggml_backend_tensor_copy(&source, &destination);
        });
    }

    static ggml_tensor bytes_of(const ggml_tensor * t, size_t offset, size_t bytes) {
        ggml_tensor part = *t;
        part.type = GGML_TYPE_I8;
        part.data = static_cast<char *>(t->data) + offset;
        part.ne[0] = static_cast<int64_t>(bytes);
        part.nb[0] = 1;
        for (int i = 1; i < GGML_MAX_DIMS; ++i) {
            part.ne[i] = 1;
            part.nb[i] = bytes;
        }
        return part;
    }

    /// Visits the memory of cells [first, first + count) of a stream, and of those from `target` on of another.
    template <class Visit>
    void pieces(uint32_t from, uint32_t first, uint32_t to, uint32_t target, uint32_t count, Visit visit) {
        if (count == 0) {
            return;
        }
        const auto rows = [&](ggml_tensor * t, ggml_tensor * copy) {
            visit(t, first * t->nb[1], copy, target * t->nb[1], count * t->nb[1]);
        };
        for (const auto & layer : cache.layers) {
            rows(layer.k_stream[from], layer.k_stream[to]);
            ggml_tensor * v = layer.v_stream[from];
            if (v != nullptr && !cache.v_trans) {
                rows(v, layer.v_stream[to]);
            } else if (v != nullptr) {
                for (int64_t j = 0; j < v->ne[0]; ++j) {
                    const size_t row = j * v->ne[1];
                    visit(v, (row + first) * v->nb[0], layer.v_stream[to], (row + target) * v->nb[0], count * v->nb[0]);
                }
            }
        }
    }

    static bool is_finite(const std::vector<uint16_t> & halves) {
        uint32_t infinite = 0;
        for (const uint16_t half : halves) {
            infinite |= (half & 0x7c00) == 0x7c00;
        }
        return infinite == 0;
    }

    llama_kv_cache & cache;
    std::vector<uint16_t> scratch;
};

namespace llamafu {

PrefixCells::PrefixCells(const llama_context * context) {
    llama_memory_i * memory = llama_get_memory(context);
    if (auto * plain = dynamic_cast<llama_kv_cache *>(memory)) {
        caches_ = {plain};
    } else if (auto * windowed = dynamic_cast<llama_kv_cache_iswa *>(memory)) {
        caches_ = {windowed->get_base(), windowed->get_swa()};
    }
    const auto copied = [](llama_kv_cache * cache) { return llamafu_cells(*cache).can_copy(); };
    if (!std::all_of(caches_.begin(), caches_.end(), copied)) {
        caches_.clear();
    }
    can_park_ = caches_.size() == 1 && llamafu_cells(*caches_[0]).can_park();
}

void PrefixCells::copy(llama_seq_id source, llama_seq_id target, llama_pos count) {
    for (llama_kv_cache * cache : caches_) {
        llamafu_cells(*cache).copy(source, target, count);
    }
}

bool PrefixCells::park(llama_seq_id source, llama_pos count, llama_seq_id holder, uint32_t first) {
    return llamafu_cells(*caches_[0]).park(source, count, holder, first);
}

void PrefixCells::unpark(
    llama_seq_id holder, uint32_t first, const std::vector<llama_token> & tokens, llama_seq_id target) {
    llamafu_cells(*caches_[0]).unpark(holder, first, tokens, target);
}

} // namespace llamafu
