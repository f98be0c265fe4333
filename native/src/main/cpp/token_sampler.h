#pragma once

#include "llama-grammar.h"
#include "llama.h"

#include <memory>
#include <string>
#include <vector>

namespace llamafu {

/// The numbers of io.llamafu.engine.SamplingOptions.
struct SamplingSettings {
    float temperature;
    int32_t top_k;
    float top_p;
    float min_p;
    float typical_p;
    bool mirostat;
    float mirostat_tau;
    float mirostat_eta;
    float repeat_penalty;
    float frequency_penalty;
    float presence_penalty;
    int32_t penalty_last_tokens;
    uint32_t seed;
    std::vector<llama_logit_bias> logit_bias;
    std::string grammar;
};

/// Chooses the tokens of one sequence. Used by one thread at a time.
class TokenSampler {
public:
    /// Throws CodedError INVALID_GRAMMAR.
    TokenSampler(const llama_vocab * vocab, const SamplingSettings & settings);

    /// The next token for a row of n_vocab logits. Throws CodedError NON_FINITE_LOGITS when one of them is no finite number,
    /// ENGINE_FAILED when the grammar or the bias allows no token, GRAMMAR_TOO_COMPLEX when the grammar takes too many steps.
    llama_token sample(const float * logits);

private:
    struct Free {
        void operator()(llama_sampler * sampler) const { llama_sampler_free(sampler); }
    };
    struct FreeGrammar {
        void operator()(llama_grammar * grammar) const { llama_grammar_free_impl(grammar); }
    };
    using Sampler = std::unique_ptr<llama_sampler, Free>;

    llama_token sample_within_steps(const float * logits);
    void load(const float * logits);
    void constrain();
    void drop_impossible();
    void choose();
    void normalize();
    bool grammar_allows(llama_token token);
    bool is_misread(llama_token token) const;

    const llama_vocab * vocab_;
    int32_t vocab_size_;
    bool greedy_;
    bool mirostat_;
    bool typical_;
    bool argmax_only_ = false; ///< greedy with nothing that changes a logit: no candidate array is needed
    Sampler adjust_;   ///< logit bias and penalties
    std::unique_ptr<llama_grammar, FreeGrammar> grammar_; ///< null without one
    unsigned char lead_ = 0; ///< the last byte of the last token if it is E0 or F0, else 0
    uint64_t grammar_steps_; ///< left of what it was given for tokens
    Sampler choice_;   ///< ends in greedy, dist or mirostat
    std::vector<llama_token_data> candidates_;
    llama_token_data_array current_{};
};

} // namespace llamafu
