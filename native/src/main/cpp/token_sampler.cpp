#include "token_sampler.h"

#include "abort_guard.h"
#include "jni_support.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace llamafu {

namespace {

/// The most steps of a grammar, at its start and for one token. A step takes about a nanosecond.
constexpr uint64_t most_grammar_steps = 500'000'000;
/// How many of them each token gives back. The decode thread samples all sequences, so none may take much of its time; but
/// testing the whole vocabulary against a stack or two must be possible.
constexpr uint64_t grammar_steps_per_token = 20'000'000;
constexpr uint64_t grammar_steps_per_vocabulary_token = 100;

llama_sampler * new_chain() {
    llama_sampler_chain_params params = llama_sampler_chain_default_params();
    params.no_perf = true;
    return llama_sampler_chain_init(params);
}

/// Typical sampling takes the logarithm of a probability; further below the likeliest it is negligible.
constexpr float least_typical = -80.0f;

/// Tests the bits, which the compiler vectorizes.
bool all_finite(const float * logits, int32_t size) {
    constexpr uint32_t exponent = 0x7f800000;
    uint32_t not_finite = 0;
    for (int32_t i = 0; i < size; i++) {
        uint32_t bits;
        std::memcpy(&bits, logits + i, sizeof bits);
        not_finite |= (bits & exponent) == exponent;
    }
    return not_finite == 0;
}

/// Index of the largest logit, the first of equals.
llama_token argmax(const float * logits, int32_t size) {
    llama_token best = 0;
    float best_logit = logits[0];
    for (int32_t i = 1; i < size; i++) {
        if (logits[i] > best_logit) {
            best_logit = logits[i];
            best = i;
        }
    }
    return best;
}

} // namespace

void require_finite(const float * logits, int32_t size) {
    if (!all_finite(logits, size)) {
        throw CodedError("NON_FINITE_LOGITS", "The model computed a logit that is no finite number; lower the scales of the"
            " adapters, or else an adapter or the model is broken.");
    }
}

TokenSampler::TokenSampler(const llama_vocab * vocab, GrammarCache & grammars, const SamplingNumbers & s,
    const std::vector<llama_logit_bias> & logit_bias, const std::string & grammar)
    : vocab_(vocab), vocab_size_(llama_vocab_n_tokens(vocab)), greedy_(s.temperature == 0),
      mirostat_(s.mirostat && !greedy_), typical_(!greedy_ && !mirostat_ && s.typical_p < 1),
      has_bias_(!logit_bias.empty()), adjust_(new_chain()), grammars_(grammars), grammar_steps_(most_grammar_steps), choice_(new_chain()) {
    for (const llama_logit_bias & bias : logit_bias) {
        if (bias.token >= vocab_size_) {
            throw CodedError("INVALID_OPTION", "logit-bias names token " + std::to_string(bias.token)
                + ", but the model has the tokens 0 to " + std::to_string(vocab_size_ - 1) + ".");
        }
    }
    const AbortGuard guard;
    if (!logit_bias.empty()) {
        llama_sampler_chain_add(adjust_.get(), llama_sampler_init_logit_bias(
            vocab_size_, static_cast<int32_t>(logit_bias.size()), logit_bias.data()));
    }
    if (s.penalty_last_tokens > 0
        && (s.repeat_penalty != 1 || s.frequency_penalty != 0 || s.presence_penalty != 0)) {
        llama_sampler_chain_add(adjust_.get(), llama_sampler_init_penalties(
            vocab_size_, s.penalty_last_tokens, s.repeat_penalty, s.frequency_penalty, s.presence_penalty));
    }
    if (!grammar.empty()) {
        automaton_ = grammars.get(grammar, most_grammar_steps);
    }
    llama_sampler * choice = choice_.get();
    if (greedy_) {
        llama_sampler_chain_add(choice, llama_sampler_init_greedy());
    } else if (mirostat_) {
        llama_sampler_chain_add(choice, llama_sampler_init_temp(s.temperature));
        llama_sampler_chain_add(choice, llama_sampler_init_mirostat_v2(s.seed, s.mirostat_tau, s.mirostat_eta));
    } else {
        if (s.top_k > 0) {
            llama_sampler_chain_add(choice, llama_sampler_init_top_k(s.top_k));
        }
        llama_sampler_chain_add(choice, llama_sampler_init_typical(s.typical_p, 1));
        llama_sampler_chain_add(choice, llama_sampler_init_top_p(s.top_p, 1));
        llama_sampler_chain_add(choice, llama_sampler_init_min_p(s.min_p, 1));
        llama_sampler_chain_add(choice, llama_sampler_init_temp(s.temperature));
        llama_sampler_chain_add(choice, llama_sampler_init_dist(s.seed));
    }
    argmax_only_ = greedy_ && llama_sampler_chain_n(adjust_.get()) == 0;
}

llama_token TokenSampler::sample(const float * logits) {
    require_finite(logits, vocab_size_);
    if (automaton_ == nullptr) {
        return argmax_only_ ? argmax(logits, vocab_size_) : sample_within_steps(logits);
    }
    if (automaton_->is_full()) {
        automaton_ = grammars_.renew(automaton_, state_);
    }
    const uint64_t refill =
        grammar_steps_per_token + grammar_steps_per_vocabulary_token * static_cast<uint64_t>(vocab_size_);
    grammar_steps_ = std::min(grammar_steps_ + refill, most_grammar_steps);
    const GrammarSteps limit(grammar_steps_);
    try {
        const llama_token token = argmax_only_ ? likeliest(logits) : sample_within_steps(logits);
        state_ = automaton_->after(state_, token);
        return token;
    } catch (const std::length_error &) {
        throw CodedError("GRAMMAR_TOO_COMPLEX", "The grammar has too many ways to go on after this answer's beginning."
            " Let alternatives differ in their first characters, and write once what they have in common.");
    }
}

/// A token that a bias bans must not be forced, so with a bias every token is chosen.
const std::vector<llama_token> & TokenSampler::take_forced(size_t most) {
    forced_.clear();
    if (automaton_ == nullptr || has_bias_ || mirostat_) {
        return forced_;
    }
    const GrammarSteps limit(grammar_steps_);
    try {
        const std::vector<llama_token> & tokens = automaton_->forced(state_);
        if (tokens.size() <= most) {
            forced_ = tokens;
        }
        for (const llama_token token : forced_) {
            state_ = automaton_->after(state_, token);
            accept(token);
        }
    } catch (const std::length_error &) {
        throw CodedError("GRAMMAR_TOO_COMPLEX", "The grammar has too many ways to go on after this answer's beginning."
            " Let alternatives differ in their first characters, and write once what they have in common.");
    }
    return forced_;
}

/// The same choice as sample_within_steps makes, without an array of candidates.
llama_token TokenSampler::likeliest(const float * logits) {
    const llama_token token = argmax(logits, vocab_size_);
    return grammar_allows(token) ? token : likeliest_allowed(logits);
}

llama_token TokenSampler::likeliest_allowed(const float * logits) {
    const std::vector<uint64_t> & mask = automaton_->mask(state_);
    llama_token best = -1;
    for (size_t word = 0; word < mask.size(); word++) {
        for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
            const llama_token token = static_cast<llama_token>(64 * word) + __builtin_ctzll(bits);
            if (best < 0 || logits[token] > logits[best]) {
                best = token;
            }
        }
    }
    if (best < 0) {
        throw CodedError("ENGINE_FAILED", "The grammar allows no token of this model's vocabulary here.");
    }
    return best;
}

llama_token TokenSampler::sample_within_steps(const float * logits) {
    load(logits);
    if (automaton_ != nullptr && mirostat_) {
        constrain(); // Mirostat learns from every choice, so it must not choose twice
    }
    choose();
    if (automaton_ != nullptr && !grammar_allows(current_.data[current_.selected].id)) {
        // the whole vocabulary is checked only when the unconstrained choice breaks the grammar
        load(logits);
        constrain();
        choose();
    }
    const llama_token token = current_.data[current_.selected].id;
    accept(token);
    return token;
}

llama_token TokenSampler::choose_among(const float * logits, const std::vector<llama_token> & tokens) {
    require_finite(logits, vocab_size_);
    candidates_.clear();
    for (const llama_token token : tokens) {
        candidates_.push_back({token, logits[token], 0.0f});
    }
    adjust();
    choose();
    const llama_token token = current_.data[current_.selected].id;
    accept(token);
    return token;
}

void TokenSampler::accept(llama_token token) {
    llama_sampler_accept(adjust_.get(), token);
    llama_sampler_accept(choice_.get(), token);
}

void TokenSampler::load(const float * logits) {
    candidates_.resize(static_cast<size_t>(vocab_size_));
    for (int32_t i = 0; i < vocab_size_; i++) {
        candidates_[static_cast<size_t>(i)] = {i, logits[i], 0.0f};
    }
    adjust();
}

void TokenSampler::adjust() {
    current_ = {candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(adjust_.get(), &current_);
    for (size_t i = 0; i < current_.size; i++) {
        float & logit = current_.data[i].logit;
        logit = std::isnan(logit) ? -INFINITY : std::min(logit, FLT_MAX); // a bias or a penalty overflowed
    }
}

void TokenSampler::constrain() {
    const std::vector<uint64_t> & mask = automaton_->mask(state_);
    size_t kept = 0;
    bool allowed = false;
    for (size_t i = 0; i < current_.size; i++) {
        const llama_token_data & candidate = current_.data[i];
        const size_t token = static_cast<size_t>(candidate.id);
        if ((mask[token / 64] >> (token % 64) & 1) != 0) {
            allowed = allowed || std::isfinite(candidate.logit);
            current_.data[kept++] = candidate;
        }
    }
    current_.size = kept;
    if (!allowed) {
        throw CodedError("ENGINE_FAILED", "The grammar allows no token of this model's vocabulary here.");
    }
}

void TokenSampler::choose() {
    if (!greedy_) {
        normalize();
    }
    llama_sampler_apply(choice_.get(), &current_);
    if (current_.selected < 0 || static_cast<size_t>(current_.selected) >= current_.size
        || !std::isfinite(current_.data[current_.selected].logit)) {
        throw CodedError("ENGINE_FAILED", "The samplers left no token to choose from; is every token banned by logit-bias?");
    }
}

/// Drops banned tokens and shifts the largest logit to 0. The probabilities stay the same, a low temperature gives no
/// infinity, and no logit is too large for llama.cpp's sort, which converts them to integers.
void TokenSampler::normalize() {
    float most = -INFINITY;
    for (size_t i = 0; i < current_.size; i++) {
        most = std::max(most, current_.data[i].logit);
    }
    const float least = typical_ ? least_typical : -FLT_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < current_.size; i++) {
        llama_token_data candidate = current_.data[i];
        candidate.logit -= most;
        if (candidate.logit >= least) {
            current_.data[kept++] = candidate;
        }
    }
    current_.size = kept;
}

} // namespace llamafu
