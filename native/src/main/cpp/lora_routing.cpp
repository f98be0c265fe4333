#include "lora_routing.h"

#include "lora_compute.h"
#include "packed_weights.h"
#include "product_delta.h"

#include "llama-adapter.h"
#include "llama-context.h"
#include "llama-graph.h"
#include "llama-model.h"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace llamafu {

namespace {

/// llama.cpp keeps only the rows that give outputs in its last layer, in the order of the ubatch.
enum RowKind { token_rows, output_rows, row_kinds };

bool is_embedding(const ggml_tensor * w) {
    return std::string(w->name) == "token_embd.weight";
}

bool in_host_memory(const ggml_tensor * w) {
    if (w->buffer == nullptr) {
        return true;
    }
    // Weights that the CPU backend has repacked are not "host" for ggml, yet their adapters lie in plain memory.
    ggml_backend_dev_t device = ggml_backend_buft_get_device(ggml_backend_buffer_get_type(w->buffer));
    return ggml_backend_buffer_is_host(w->buffer) || (device && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU);
}

} // namespace

class SequenceAdapters::Router final : public llama_lora_router {
public:
    Router(llama_context * context, LoraPath path, CpuLevel level)
        : context_(context), path_(path), kernels_(lora_kernels(level)), stacks_(context->n_seq_max()) {
        const llama_model * model = &context->get_model();
        if (llama_model_has_encoder(model) && llama_model_has_decoder(model)) {
            throw std::invalid_argument("per-sequence LoRA does not serve encoder-decoder models");
        }
        context_->set_lora_router(this);
        context_->sched_reserve(); // builds the graphs, which find the projections
    }

    ~Router() override { context_->set_lora_router(nullptr); }

    void set(llama_seq_id sequence, const std::vector<ScaledAdapter> & stack) {
        std::vector<IndexedScale> & target = stack_of(sequence);
        bool came = false;
        for (const ScaledAdapter & entry : stack) {
            if (std::find(resident_.begin(), resident_.end(), entry.adapter) == resident_.end()) {
                check(*entry.adapter);
                came = true;
            }
        }
        std::vector<IndexedScale> scales;
        for (const ScaledAdapter & entry : added_up(stack)) {
            scales.push_back({ index_of(entry.adapter), entry.scale });
        }
        target = std::move(scales);
        if (came) {
            adapters_changed();
        }
    }

    std::map<std::string, std::string> products() const {
        std::map<std::string, std::string> products;
        for (const auto & [name, projection] : projections_) {
            products[name] = projection.refusal;
        }
        return products;
    }

    void release(const llama_adapter_lora * adapter) {
        const auto known = std::find(resident_.begin(), resident_.end(), adapter);
        if (adapter == nullptr || known == resident_.end()) {
            return;
        }
        const AdapterIndex index = known - resident_.begin();
        if (in_use(index)) {
            throw std::invalid_argument("the adapter is in use by a sequence");
        }
        forget(index);
        adapters_changed();
    }

    ggml_tensor * build_mm(const llm_graph_context & graph, ggml_tensor * w, ggml_tensor * cur, ggml_tensor * res) override {
        if (is_embedding(w)) {
            return res; // a tied output matrix: an adapter of the embedding does not mean it (and its factors are transposed)
        }
        Inputs & inputs = inputs_of(graph);
        Projection & projection = projection_of(w, ProjectionKind::matrix);
        const int64_t rows = ggml_nrows(cur);
        const RowKind kind = rows == graph.n_tokens ? token_rows : output_rows;
        if (kind == output_rows && rows != graph.n_outputs) {
            projection.refusal = "its rows are not the tokens of the batch";
        } else if (cur->type != GGML_TYPE_F32 || res->type != GGML_TYPE_F32 || w->ne[2] != 1 || w->type == GGML_TYPE_NVFP4) {
            projection.refusal = "it is not a plain matrix product"; // NVFP4 scales its product after the adapters
        }
        if (!projection.refusal.empty()) {
            require_unused(projection, w);
            return res;
        }
        return projection.on_cpu ? add_kernels(graph, projection, kind, cur, res)
                                 : add_masked(graph, projection, inputs.mask(graph, kind), cur, nullptr, res);
    }

    ggml_tensor * build_mm_id(const llm_graph_context & graph, ggml_tensor * w, ggml_tensor * cur, ggml_tensor * ids,
                              ggml_tensor * res) override {
        Inputs & inputs = inputs_of(graph);
        Projection & projection = projection_of(w, ProjectionKind::experts);
        const RowKind kind = ids->ne[1] == graph.n_tokens ? token_rows : output_rows;
        if (kind == output_rows && ids->ne[1] != graph.n_outputs) {
            projection.refusal = "its rows are not the tokens of the batch";
        }
        if (!projection.refusal.empty()) {
            require_unused(projection, w);
            return res;
        }
        return add_masked(graph, projection, inputs.mask(graph, kind), cur, ids, res);
    }

    ggml_tensor * build_embd(const llm_graph_context & graph, ggml_tensor * w, ggml_tensor * tokens, ggml_tensor * res) override {
        Inputs & inputs = inputs_of(graph);
        Projection & projection = projection_of(w, ProjectionKind::embedding);
        return projection.on_cpu ? add_kernels(graph, projection, token_rows, tokens, res)
                                 : add_masked(graph, projection, inputs.mask(graph, token_rows), tokens, nullptr, res);
    }

    uint32_t max_nodes(uint32_t n_base) const override {
        uint32_t calls = 1;
        for (const auto & [name, projection] : projections_) {
            calls = std::max(calls, projection.calls);
        }
        uint32_t weights = 0;
        for (const llama_adapter_lora * adapter : resident_) {
            weights += adapter ? adapter->ab_map.size() : 0;
        }
        // The kernels are two nodes for a product, which is a node of the base; the masked product is six, masks are inputs.
        return 2 * n_base + row_kinds + 6 * calls * weights;
    }

private:
    /// What the adapters of a step add to a product of a graph.
    class Delta final : public ProductDelta {
    public:
        Delta(const Router & router, const Projection & projection, RowKind kind) : router_(router), projection_(projection), kind_(kind) {}

        bool is_needed() const override { return projection_.is_in(plan()); }

        /// t = scale * A x, for each row and each adapter of its stack.
        void prepare(const ggml_tensor * x, int ith, int nth) const override {
            lora_project(router_.kernels_, projection_, plan(), x, projected(), ith, nth);
        }

        /// y += B t
        void add(const ggml_tensor * y, int64_t first, int64_t last) const override {
            lora_expand(router_.kernels_, projection_, plan(), projected(), y, first, last);
        }

        void reads_of_prepare(int ith, int nth, ReadAhead & ahead) const override {
            lora_reads_of_project(projection_, plan(), ith, nth, ahead);
        }

        void reads_of_add(int64_t first, int64_t last, ReadAhead & ahead) const override {
            lora_reads_of_expand(projection_, plan(), first, last, ahead);
        }

    private:
        const RowPlan & plan() const { return router_.plans_[kind_]; }
        float * projected() const { return router_.projected_.data() + router_.projected_.size() / most_places * place; }

        const Router & router_;
        const Projection & projection_;
        const RowKind kind_;
    };

    /// A graph's view of the routing, refreshed for every ubatch. The kernels read the router's plans, which lie in host
    /// memory and so need no tensor; the masked operations read one row of scales per adapter.
    class Inputs final : public llm_graph_input_i {
    public:
        explicit Inputs(Router & router) : router_(router) {}

        void set_input(const llama_ubatch * ubatch) override {
            router_.make_plans(*ubatch);
            for (const Pair & pair : pairs_) {
                const bool needed = pair.delta->is_needed();
                for (ggml_tensor * node : { pair.project, pair.expand }) {
                    node->flags = needed ? node->flags | GGML_TENSOR_FLAG_COMPUTE : node->flags & ~GGML_TENSOR_FLAG_COMPUTE;
                }
            }
            for (int kind = 0; kind < row_kinds; ++kind) {
                if (masks_[kind] != nullptr && masks_[kind]->buffer != nullptr) {
                    set_mask(masks_[kind], router_.plans_[kind]);
                }
            }
        }

        /// Lives as long as the graph.
        Delta & add_delta(const Projection & projection, RowKind kind) { return deltas_.emplace_back(router_, projection, kind); }

        /// Two nodes, which are left out of the steps that do not need them: all threads wait for each other at each node.
        void add_nodes(const Delta & delta, ggml_tensor * project, ggml_tensor * expand) { pairs_.push_back({ &delta, project, expand }); }

        // llama.cpp compares the numbers of tokens and outputs; which row has which adapter is not part of the graph.
        bool can_reuse(const llm_graph_params &) override { return true; }

        /// Scales [rows, resident adapters].
        ggml_tensor * mask(const llm_graph_context & graph, RowKind kind) {
            if (masks_[kind] == nullptr && !router_.resident_.empty()) {
                const int64_t rows = kind == token_rows ? graph.n_tokens : graph.n_outputs;
                masks_[kind] = ggml_new_tensor_2d(graph.ctx0, GGML_TYPE_F32, rows, router_.resident_.size());
                ggml_set_input(masks_[kind]);
            }
            return masks_[kind];
        }

    private:
        static void set_mask(ggml_tensor * mask, const RowPlan & plan) {
            std::vector<float> scales(ggml_nelements(mask));
            for (const RowPlan::Group & group : plan.groups) {
                for (size_t i = 0; i < group.rows.size(); ++i) {
                    scales[group.index * mask->ne[0] + group.rows[i]] = group.scales[i];
                }
            }
            ggml_backend_tensor_set(mask, scales.data(), 0, ggml_nbytes(mask));
        }

        struct Pair {
            const Delta * delta;
            ggml_tensor * project;
            ggml_tensor * expand;
        };

        Router & router_;
        ggml_tensor * masks_[row_kinds] = {};
        std::deque<Delta> deltas_;
        std::vector<Pair> pairs_;
    };

    Inputs & inputs_of(const llm_graph_context & graph) {
        for (const auto & input : graph.res->inputs) {
            if (auto * inputs = dynamic_cast<Inputs *>(input.get())) {
                return *inputs;
            }
        }
        for (auto & [name, projection] : projections_) {
            projection.calls = 0;
        }
        return static_cast<Inputs &>(*graph.res->add_input(std::make_unique<Inputs>(*this)));
    }

    Projection & projection_of(const ggml_tensor * w, ProjectionKind kind) {
        Projection & projection = projections_[w->name];
        projection.kind = kind;
        projection.on_cpu = path_ != LoraPath::generic && kind != ProjectionKind::experts && in_host_memory(w);
        projection.calls++;
        if (path_ == LoraPath::cpu && !in_host_memory(w)) {
            projection.refusal = "it does not lie in host memory";
        }
        adapters_in_graph_ |= !projection.on_cpu;
        return projection;
    }

    /// Graphs of other sizes could refuse a product that the first ones did not, and adapters of it may be in use.
    void require_unused(const Projection & projection, const ggml_tensor * w) const {
        for (AdapterIndex index = 0; index < resident_.size(); ++index) {
            if (projection.of(index) != nullptr) {
                throw std::runtime_error(std::string("an adapter changes '") + w->name + "', but " + projection.refusal);
            }
        }
    }

    ggml_tensor * add_kernels(const llm_graph_context & graph, const Projection & projection, RowKind kind, ggml_tensor * cur,
                              ggml_tensor * res) {
        Delta & delta = inputs_of(graph).add_delta(projection, kind);
        // the kernels support a single stride between rows
        if (cur->nb[2] != cur->ne[1] * cur->nb[1] || cur->nb[3] != cur->ne[2] * cur->nb[2]) {
            cur = ggml_cont(graph.ctx0, cur);
        } else if (is_packed_product(res)) {
            set_delta(res, delta);
            return res;
        }
        // The first node's result only orders the two: its values go to `projected_`, whose size depends on the adapters of
        // the step. A graph lists a node right after the inputs it still lacks, so at most the base product, `res`, comes
        // between the two, never another projection that would overwrite the values.
        ggml_tensor * done = ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, 1, 1, 1, 1, &cur, 1, project, GGML_N_TASKS_MAX, &delta);
        ggml_tensor * sum = ggml_custom_inplace(graph.ctx0, res, &done, 1, expand, GGML_N_TASKS_MAX, &delta);
        inputs_of(graph).add_nodes(delta, done, sum);
        return sum;
    }

    /// For every resident adapter: res += B (scales * (A cur)).
    ggml_tensor * add_masked(const llm_graph_context & graph, const Projection & projection, ggml_tensor * mask, ggml_tensor * cur,
                             ggml_tensor * ids, ggml_tensor * res) const {
        ggml_context * ctx = graph.ctx0;
        const auto product = [&](ggml_tensor * w, ggml_tensor * x) { return ids ? ggml_mul_mat_id(ctx, w, x, ids) : ggml_mul_mat(ctx, w, x); };
        for (AdapterIndex index = 0; index < resident_.size(); ++index) {
            const Factors * factors = projection.of(index);
            if (factors == nullptr) {
                continue;
            }
            ggml_tensor * t = projection.kind == ProjectionKind::embedding ? ggml_get_rows(ctx, factors->a, cur) : product(factors->a, cur);
            const int64_t rows = mask->ne[0];
            const size_t size = ggml_element_size(mask);
            ggml_tensor * scales = ids ? ggml_view_4d(ctx, mask, 1, 1, rows, 1, size, size, rows * size, index * mask->nb[1])
                                       : ggml_view_4d(ctx, mask, 1, t->ne[1], t->ne[2], t->ne[3], size, t->ne[1] * size,
                                                      t->ne[1] * t->ne[2] * size, index * mask->nb[1]);
            t = ggml_scale(ctx, ggml_mul(ctx, t, scales), factors->multiplier);
            res = ggml_add(ctx, res, product(factors->b, t));
        }
        return res;
    }

    void make_plans(const llama_ubatch & ubatch) {
        for (RowPlan & plan : plans_) {
            plan.groups.clear();
        }
        size_t values = 0;
        int32_t outputs = 0;
        for (uint32_t token = 0; token < ubatch.n_tokens; ++token) {
            const bool gives_output = ubatch.output != nullptr && ubatch.output[token];
            int place = 0;
            for (const IndexedScale & adapter : stack_of(ubatch.seq_id[token][0])) {
                if (adapter.scale == 0) {
                    continue;
                }
                plans_[token_rows].add(token, place, adapter);
                if (gives_output) {
                    plans_[output_rows].add(outputs, place, adapter); // as llm_graph_input_out_ids orders them
                }
                place++;
                values += max_ranks_[adapter.index];
            }
            outputs += gives_output;
        }
        projected_.resize(std::max(values * ProductDelta::most_places, projected_.size()));
    }

    /// The two nodes of a projection.
    static void project(ggml_tensor * done, int ith, int nth, void * delta) {
        static_cast<const Delta *>(delta)->prepare(done->src[0], ith, nth);
    }

    static void expand(ggml_tensor * res, int ith, int nth, void * delta) {
        constexpr int64_t line = 16; // floats
        const int64_t lines = (res->ne[0] + line - 1) / line;
        static_cast<const Delta *>(delta)->add(res, lines * ith / nth * line, std::min(res->ne[0], lines * (ith + 1) / nth * line));
    }

    std::vector<IndexedScale> & stack_of(llama_seq_id sequence) {
        if (sequence < 0 || size_t(sequence) >= stacks_.size()) {
            throw std::invalid_argument("sequence " + std::to_string(sequence) + " is out of range");
        }
        return stacks_[sequence];
    }

    bool in_use(AdapterIndex index) const {
        return std::any_of(stacks_.begin(), stacks_.end(), [&](const std::vector<IndexedScale> & stack) {
            return std::any_of(stack.begin(), stack.end(), [&](const IndexedScale & entry) { return entry.index == index; });
        });
    }

    AdapterIndex index_of(llama_adapter_lora * adapter) {
        const auto known = std::find(resident_.begin(), resident_.end(), adapter);
        if (known != resident_.end()) {
            return known - resident_.begin();
        }
        const AdapterIndex index = std::find(resident_.begin(), resident_.end(), nullptr) - resident_.begin();
        if (index == resident_.size()) {
            resident_.push_back(nullptr);
            max_ranks_.push_back(0);
        }
        resident_[index] = adapter;
        max_ranks_[index] = 0;
        for (const auto & [name, weight] : adapter->ab_map) {
            Projection & projection = projections_.at(name);
            projection.by_index.resize(resident_.size());
            projection.by_index[index] = { weight.a, weight.b, weight.get_scale(adapter->alpha, 1.0f) };
            max_ranks_[index] = std::max<int64_t>(max_ranks_[index], weight.b->ne[0]);
        }
        return index;
    }

    /// A tensor without a projection would be ignored and give wrong answers, so every tensor must have one.
    void check(const llama_adapter_lora & adapter) const {
        if (adapter.ab_map.empty()) {
            throw std::invalid_argument("the adapter has no tensors");
        }
        for (const auto & [name, weight] : adapter.ab_map) {
            const auto found = projections_.find(name);
            const std::string refusal = found == projections_.end() ? "the model does not multiply by it" : found->second.refusal;
            if (!refusal.empty()) {
                throw std::invalid_argument("the adapter changes '" + name + "', which cannot be set per sequence: " + refusal);
            }
            for (const ggml_tensor * factor : { weight.a, weight.b }) {
                if (found->second.on_cpu && !(lora_kernels_read(factor->type) && ggml_is_contiguous(factor) && factor->ne[2] == 1)) {
                    throw std::invalid_argument("the adapter holds '" + name + "' as " + ggml_type_name(factor->type) +
                                                "; F32, F16, BF16 and Q8_0 are supported");
                }
            }
        }
    }

    void forget(AdapterIndex index) {
        resident_[index] = nullptr;
        for (auto & [name, projection] : projections_) {
            if (projection.of(index)) {
                projection.by_index[index] = {};
            }
        }
    }

    /// Graphs of kernels look their adapters up when they run; graphs of masked operations contain them.
    void adapters_changed() {
        if (!adapters_in_graph_) {
            return;
        }
        for (AdapterIndex index = 0; index < resident_.size(); ++index) {
            if (resident_[index] != nullptr && !in_use(index)) {
                forget(index); // it would cost in every step, and the graph is rebuilt anyway
            }
        }
        context_->synchronize();
        context_->set_lora_router(this);
    }

    llama_context * const context_;
    const LoraPath path_;
    const LoraKernels & kernels_;

    std::vector<std::vector<IndexedScale>> stacks_; // by sequence
    std::vector<llama_adapter_lora *> resident_; // by index; null where one was released
    std::vector<int64_t> max_ranks_; // by index
    std::unordered_map<std::string, Projection> projections_;
    bool adapters_in_graph_ = false;

    RowPlan plans_[row_kinds]; // of the current ubatch
    mutable std::vector<float> projected_; // first halves of deltas, by place
};

std::vector<ScaledAdapter> added_up(const std::vector<ScaledAdapter> & stack) {
    std::vector<ScaledAdapter> sums;
    for (const ScaledAdapter & entry : stack) {
        const auto same = [&](const ScaledAdapter & other) { return other.adapter == entry.adapter; };
        const auto other = std::find_if(sums.begin(), sums.end(), same);
        if (other != sums.end()) {
            other->scale += entry.scale;
        } else {
            sums.push_back(entry);
        }
    }
    return sums;
}

SequenceAdapters::SequenceAdapters(llama_context * context, LoraPath path, CpuLevel level)
    : router_(std::make_unique<Router>(context, path, level)) {}

SequenceAdapters::~SequenceAdapters() = default;

void SequenceAdapters::set(llama_seq_id sequence, const std::vector<ScaledAdapter> & stack) {
    router_->set(sequence, stack);
}

std::map<std::string, std::string> SequenceAdapters::products() const {
    return router_->products();
}

void prepare_for_sequences(llama_adapter_lora & adapter) {
    for (auto & [name, weight] : adapter.ab_map) {
        if (weight.b->ne[2] == 1 && in_host_memory(weight.b)) {
            interleave(weight.b);
        }
    }
}

void SequenceAdapters::release(const llama_adapter_lora * adapter) {
    router_->release(adapter);
}

} // namespace llamafu
