#include "random_model.h"

#include "gguf.h"

#include <cmath>
#include <memory>
#include <stdexcept>

namespace llamafu {

namespace {

struct Weight {
    std::string name;
    int64_t columns;
    int64_t rows;
    int64_t experts = 1;
};

std::vector<Weight> weights_of(const ModelShape & m) {
    const int64_t kv = m.embd / m.heads * m.kv_heads;
    std::vector<Weight> weights = { { "token_embd.weight", m.embd, m.vocab } };
    if (!m.tied_output) {
        weights.push_back({ "output.weight", m.embd, m.vocab });
    }
    for (int64_t i = 0; i < m.layers; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        if (m.fused_qkv) {
            weights.push_back({ layer + "attn_qkv.weight", m.embd, m.embd + 2 * kv });
        } else {
            weights.push_back({ layer + "attn_q.weight", m.embd, m.embd });
            weights.push_back({ layer + "attn_k.weight", m.embd, kv });
            weights.push_back({ layer + "attn_v.weight", m.embd, kv });
        }
        weights.push_back({ layer + "attn_output.weight", m.embd, m.embd });
        const std::string experts = m.experts ? "_exps" : "";
        const int64_t count = m.experts ? m.experts : 1;
        weights.push_back({ layer + "ffn_gate" + experts + ".weight", m.embd, m.ff, count });
        weights.push_back({ layer + "ffn_up" + experts + ".weight", m.embd, m.ff, count });
        weights.push_back({ layer + "ffn_down" + experts + ".weight", m.ff, m.embd, count });
    }
    return weights;
}

/// Uniform values with the given standard deviation from a splitmix64 stream, fast enough for a billion weights.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    void fill(std::vector<float> & values, float deviation) {
        for (float & value : values) {
            uint64_t z = state_ += 0x9e3779b97f4a7c15;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
            z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
            value = (static_cast<float>(z >> 40) * 0x1p-23f - 1.0f) * deviation * std::sqrt(3.0f);
        }
    }

private:
    uint64_t state_;
};

class GgufFile {
public:
    GgufFile() : gguf_(gguf_init_empty(), gguf_free), tensors_(ggml_init({ 16 << 20, nullptr, true }), ggml_free) {}

    gguf_context * gguf() { return gguf_.get(); }

    void add(const std::string & name, ggml_type type, std::vector<int64_t> dims, const std::vector<float> & values) {
        ggml_tensor * tensor = ggml_new_tensor(tensors_.get(), type, dims.size(), dims.data());
        ggml_set_name(tensor, name.c_str());
        data_.emplace_back(ggml_nbytes(tensor));
        ggml_quantize_chunk(type, values.data(), data_.back().data(), 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
        tensor->data = data_.back().data();
        gguf_add_tensor(gguf_.get(), tensor);
    }

    /// The values rounded to `type`.
    static std::vector<float> rounded(ggml_type type, int64_t columns, const std::vector<float> & values) {
        if (type == GGML_TYPE_F32) {
            return values;
        }
        std::vector<uint8_t> data(ggml_row_size(type, values.size()));
        ggml_quantize_chunk(type, values.data(), data.data(), 0, values.size() / columns, columns, nullptr);
        std::vector<float> result(values.size());
        ggml_get_type_traits(type)->to_float(data.data(), result.data(), values.size());
        return result;
    }

    void write(const std::string & path) {
        if (!gguf_write_to_file(gguf_.get(), path.c_str(), false)) {
            throw std::runtime_error("cannot write " + path);
        }
    }

private:
    std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_;
    std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors_;
    std::vector<std::vector<uint8_t>> data_;
};

} // namespace

std::vector<std::string> targets_of(const ModelShape & model) {
    std::vector<std::string> names;
    for (const Weight & weight : weights_of(model)) {
        names.push_back(weight.name);
    }
    return names;
}

/// The type of a weight.
static ggml_type type_of(const ModelShape & m, const Weight & w) {
    const auto is = [&](const char * part) { return w.name.find(part) != std::string::npos; };
    const bool better = m.better != GGML_TYPE_COUNT && (is("attn_v") || is("ffn_down") || w.name == "output.weight");
    return better ? m.better : m.type;
}

void write_model(const std::string & path, const ModelShape & m, uint64_t seed) {
    GgufFile file;
    gguf_context * gguf = file.gguf();
    gguf_set_val_str(gguf, "general.architecture", "llama");
    gguf_set_val_str(gguf, "tokenizer.ggml.model", "no_vocab");
    gguf_set_val_u32(gguf, "llama.vocab_size", m.vocab);
    gguf_set_val_u32(gguf, "llama.context_length", 4096);
    gguf_set_val_u32(gguf, "llama.embedding_length", m.embd);
    gguf_set_val_u32(gguf, "llama.block_count", m.layers);
    gguf_set_val_u32(gguf, "llama.feed_forward_length", m.ff);
    gguf_set_val_u32(gguf, "llama.attention.head_count", m.heads);
    gguf_set_val_u32(gguf, "llama.attention.head_count_kv", m.kv_heads);
    gguf_set_val_u32(gguf, "llama.rope.dimension_count", m.embd / m.heads);
    gguf_set_val_f32(gguf, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (m.experts) {
        gguf_set_val_u32(gguf, "llama.expert_count", m.experts);
        gguf_set_val_u32(gguf, "llama.expert_used_count", m.experts_used);
    }

    Random random(seed);
    for (const Weight & w : weights_of(m)) {
        std::vector<float> values(w.columns * w.rows * w.experts);
        random.fill(values, w.name == "token_embd.weight" ? 1.0f : 1.0f / std::sqrt(static_cast<float>(w.columns)));
        file.add(w.name, type_of(m, w), w.experts > 1 ? std::vector<int64_t> { w.columns, w.rows, w.experts } : std::vector<int64_t> { w.columns, w.rows },
                 values);
    }
    const std::vector<float> ones(m.embd, 1.0f);
    file.add("output_norm.weight", GGML_TYPE_F32, { m.embd }, ones);
    for (int64_t i = 0; i < m.layers; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        file.add(layer + "attn_norm.weight", GGML_TYPE_F32, { m.embd }, ones);
        file.add(layer + "ffn_norm.weight", GGML_TYPE_F32, { m.embd }, ones);
        if (m.experts) {
            std::vector<float> router(m.embd * m.experts);
            random.fill(router, 1.0f / std::sqrt(static_cast<float>(m.embd)));
            file.add(layer + "ffn_gate_inp.weight", GGML_TYPE_F32, { m.embd, m.experts }, router);
        }
    }
    file.write(path);
}

void write_adapter(const std::string & path, const ModelShape & model, const AdapterShape & adapter, uint64_t seed) {
    GgufFile file;
    gguf_context * gguf = file.gguf();
    gguf_set_val_str(gguf, "general.type", "adapter");
    gguf_set_val_str(gguf, "general.architecture", "llama");
    gguf_set_val_str(gguf, "adapter.type", "lora");
    if (adapter.alpha != 0) {
        gguf_set_val_f32(gguf, "adapter.lora.alpha", adapter.alpha);
    }

    // At scale 1 the adapter adds a quarter of a base weight's contribution, like a real adapter.
    const float strength = 0.25f / (adapter.alpha != 0 ? adapter.alpha / adapter.rank : 1.0f);
    Random random(seed);
    for (const Weight & w : weights_of(model)) {
        for (const std::string & target : adapter.targets) {
            if (target != w.name) {
                continue;
            }
            // An embedding's A has a row of `rank` values per token, so that it can be looked up.
            const bool embedding = w.name == "token_embd.weight";
            std::vector<int64_t> a_dims = embedding ? std::vector<int64_t> { adapter.rank, w.rows } : std::vector<int64_t> { w.columns, adapter.rank };
            std::vector<int64_t> b_dims = { adapter.rank, embedding ? w.columns : w.rows };
            if (w.experts > 1) {
                a_dims.push_back(w.experts);
                b_dims.push_back(w.experts);
            }
            std::vector<float> a(a_dims[0] * a_dims[1] * w.experts);
            std::vector<float> b(b_dims[0] * b_dims[1] * w.experts);
            random.fill(a, embedding ? 1.0f : 1.0f / std::sqrt(static_cast<float>(w.columns)));
            random.fill(b, strength / std::sqrt(static_cast<float>(adapter.rank)));
            const auto add = [&](const std::string & suffix, ggml_type type, const std::vector<int64_t> & dims, const std::vector<float> & values) {
                const ggml_type stored = dims[0] % ggml_blck_size(type) == 0 ? type : GGML_TYPE_F16;
                if (adapter.widened) {
                    file.add(w.name + suffix, GGML_TYPE_F32, dims, GgufFile::rounded(stored, dims[0], values));
                } else {
                    file.add(w.name + suffix, stored, dims, values);
                }
            };
            add(".lora_a", adapter.a_type, a_dims, a);
            add(".lora_b", adapter.b_type, b_dims, b);
        }
    }
    file.write(path);
}

} // namespace llamafu
