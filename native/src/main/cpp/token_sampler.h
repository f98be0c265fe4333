#pragma once

#include "grammar_automaton.h"

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

namespace llamafu {

/// The numbers of io.llamafu.engine.SamplingOptions in its order, as io.llamafu.llamacpp.PackedSampling packs them.
#define LLAMAFU_SAMPLING_NUMBERS(NUMBER) \
    NUMBER(float, temperature)           \
    NUMBER(int32_t, top_k)               \
    NUMBER(float, top_p)                 \
    NUMBER(float, min_p)                 \
    NUMBER(float, typical_p)             \
    NUMBER(int32_t, mirostat)            \
    NUMBER(float, mirostat_tau)          \
    NUMBER(float, mirostat_eta)          \
    NUMBER(float, repeat_penalty)        \
    NUMBER(float, frequency_penalty)     \
    NUMBER(float, presence_penalty)      \
    NUMBER(int32_t, penalty_last_tokens) \
    NUMBER(int32_t, seed)

struct SamplingNumbers {
#define LLAMAFU_MEMBER(type, name) type name;
    LLAMAFU_SAMPLING_NUMBERS(LLAMAFU_MEMBER)
#undef LLAMAFU_MEMBER
};

/// The members of SamplingNumbers as text, which Java compares with its own description when it loads the library.
#define LLAMAFU_DESCRIBED(type, name) " " #type " " #name ";"
constexpr const char * sampling_layout = &(LLAMAFU_SAMPLING_NUMBERS(LLAMAFU_DESCRIBED))[1];
#undef LLAMAFU_DESCRIBED

/// Throws CodedError NON_FINITE_LOGITS when one of the logits is no finite number.
void require_finite(const float * logits, int32_t size);

/// Chooses the tokens of one sequence. Used by one thread at a time.
class TokenSampler {
public:
    /// Throws CodedError INVALID_GRAMMAR. The cache must outlive the sampler.
    TokenSampler(const llama_vocab * vocab, GrammarCache & grammars, const SamplingNumbers & numbers,
        const std::vector<llama_logit_bias> & logit_bias, const std::string & grammar);

    /// The next token for a row of n_vocab logits. Throws CodedError NON_FINITE_LOGITS when one of them is no finite number,
    /// ENGINE_FAILED when the grammar or the bias allows no token, GRAMMAR_TOO_COMPLEX when the grammar takes too many steps.
    llama_token sample(const float * logits);

    /// The tokens that follow the last one, or begin the answer, because the grammar allows nothing else. The sampler has
    /// taken them already. None if there are more than `most`.
    const std::vector<llama_token> & take_forced(size_t most);

    /// The next token among some, for a row of n_vocab logits; the grammar is not asked. Throws as `sample` does.
    llama_token choose_among(const float * logits, const std::vector<llama_token> & tokens);

    /// Takes a token of the answer that it did not choose; the grammar is not told.
    void accept(llama_token token);

private:
    struct Free {
        void operator()(llama_sampler * sampler) const { llama_sampler_free(sampler); }
    };
    using Sampler = std::unique_ptr<llama_sampler, Free>;

    llama_token sample_within_steps(const float * logits);
    llama_token likeliest(const float * logits);
    llama_token likeliest_allowed(const float * logits);
    void load(const float * logits);
    void adjust();
    void constrain();
    void choose();
    void normalize();
    bool grammar_allows(llama_token token) { return automaton_->after(state_, token) != GrammarAutomaton::dead; }

    const llama_vocab * vocab_;
    int32_t vocab_size_;
    bool greedy_;
    bool mirostat_;
    bool typical_;
    bool argmax_only_ = false; ///< greedy and no logit is changed: needs no candidate array
    bool has_bias_;
    Sampler adjust_;   ///< logit bias and penalties
    GrammarCache & grammars_;
    std::shared_ptr<GrammarAutomaton> automaton_; ///< null without a grammar
    int32_t state_ = GrammarAutomaton::start;
    uint64_t grammar_steps_; ///< left for the next token
    std::vector<llama_token> forced_;
    Sampler choice_;   ///< ends in greedy, dist or mirostat
    std::vector<llama_token_data> candidates_;
    llama_token_data_array current_{};
};

} // namespace llamafu
