#include "token_sampler.h"

#include "jni_support.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace llamafu {

namespace {

llama_sampler * new_chain() {
    llama_sampler_chain_params params = llama_sampler_chain_default_params();
    params.no_perf = true;
    return llama_sampler_chain_init(params);
}

/// Typical sampling takes the logarithm of a probability; what is further below the likeliest has none that counts.
constexpr float least_typical = -80.0f;

/// By the bits, because a compiler can do many at a time so.
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

std::string piece(const llama_vocab * vocab, llama_token token) {
    std::string bytes(64, '\0');
    int32_t size = llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, true);
    if (size < 0) {
        bytes.resize(static_cast<size_t>(-size));
        size = llama_token_to_piece(vocab, token, bytes.data(), -size, 0, true);
    }
    bytes.resize(static_cast<size_t>(size));
    return bytes;
}

} // namespace

TokenSampler::TokenSampler(const llama_vocab * vocab, const SamplingSettings & s)
    : vocab_(vocab), vocab_size_(llama_vocab_n_tokens(vocab)), greedy_(s.temperature == 0),
      mirostat_(s.mirostat && !greedy_), typical_(!greedy_ && !mirostat_ && s.typical_p < 1),
      adjust_(new_chain()), choice_(new_chain()) {
    for (const llama_logit_bias & bias : s.logit_bias) {
        if (bias.token >= vocab_size_) {
            throw CodedError("INVALID_OPTION", "logit-bias names token " + std::to_string(bias.token)
                + ", but the model has the tokens 0 to " + std::to_string(vocab_size_ - 1) + ".");
        }
    }
    if (!s.logit_bias.empty()) {
        llama_sampler_chain_add(adjust_.get(), llama_sampler_init_logit_bias(
            vocab_size_, static_cast<int32_t>(s.logit_bias.size()), s.logit_bias.data()));
    }
    if (s.penalty_last_tokens > 0
        && (s.repeat_penalty != 1 || s.frequency_penalty != 0 || s.presence_penalty != 0)) {
        llama_sampler_chain_add(adjust_.get(), llama_sampler_init_penalties(
            vocab_size_, s.penalty_last_tokens, s.repeat_penalty, s.frequency_penalty, s.presence_penalty));
    }
    if (!s.grammar.empty()) {
        grammar_.reset(llama_sampler_init_grammar(vocab, s.grammar.c_str(), "root"));
        if (grammar_ == nullptr) {
            throw CodedError("INVALID_GRAMMAR",
                "The grammar does not parse as GBNF with a 'root' rule; it begins: " + s.grammar.substr(0, 80));
        }
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
    argmax_only_ = greedy_ && grammar_ == nullptr && llama_sampler_chain_n(adjust_.get()) == 0;
}

llama_token TokenSampler::sample(const float * logits) {
    if (!all_finite(logits, vocab_size_)) {
        throw CodedError("NON_FINITE_LOGITS", "The model computed a logit that is no finite number; lower the scales of the"
            " adapters, or else an adapter or the model is broken.");
    }
    if (argmax_only_) {
        return argmax(logits, vocab_size_);
    }
    load(logits);
    if (grammar_ != nullptr && mirostat_) {
        constrain(); // Mirostat learns from every choice, so it must not choose twice
    }
    choose();
    if (grammar_ != nullptr && !grammar_allows(current_.data[current_.selected].id)) {
        // the whole vocabulary is checked only when the unconstrained choice breaks the grammar
        load(logits);
        constrain();
        choose();
    }
    const llama_token token = current_.data[current_.selected].id;
    llama_sampler_accept(adjust_.get(), token);
    if (grammar_ != nullptr) {
        llama_sampler_accept(grammar_.get(), token);
        const std::string bytes = piece(vocab_, token);
        const unsigned char last = bytes.empty() ? 0 : static_cast<unsigned char>(bytes.back());
        lead_ = last == 0xE0 || last == 0xF0 ? last : 0;
    }
    llama_sampler_accept(choice_.get(), token);
    return token;
}

void TokenSampler::load(const float * logits) {
    candidates_.resize(static_cast<size_t>(vocab_size_));
    for (int32_t i = 0; i < vocab_size_; i++) {
        candidates_[static_cast<size_t>(i)] = {i, logits[i], 0.0f};
    }
    current_ = {candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(adjust_.get(), &current_);
    for (size_t i = 0; i < current_.size; i++) {
        float & logit = current_.data[i].logit;
        logit = std::isnan(logit) ? -INFINITY : std::min(logit, FLT_MAX); // a bias or a penalty was larger than a float
    }
}

void TokenSampler::constrain() {
    llama_sampler_apply(grammar_.get(), &current_);
    bool allowed = false;
    for (size_t i = 0; i < current_.size; i++) {
        llama_token_data & candidate = current_.data[i];
        if (std::isfinite(candidate.logit) && is_misread(candidate.id)) {
            candidate.logit = -INFINITY;
        }
        allowed = allowed || std::isfinite(candidate.logit);
    }
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

/// Leaves banned tokens out, and makes 0 of the largest logit: the probabilities are the same, a division by a low
/// temperature gives no infinity, and llama.cpp's sort, which makes integers of logits, gets none that is too large for it.
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

bool TokenSampler::grammar_allows(llama_token token) {
    llama_token_data single = {token, 1.0f, 0.0f};
    llama_token_data_array array = {&single, 1, -1, false};
    llama_sampler_apply(grammar_.get(), &array);
    return std::isfinite(single.logit) && !is_misread(token);
}

/// Whether the grammar takes a token for a text that the answer will not have.
bool TokenSampler::is_misread(llama_token token) const {
    const int attributes = llama_vocab_get_attr(vocab_, token);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
        return !llama_vocab_is_eog(vocab_, token); // the grammar reads its name, and answers leave it out
    }
    if (lead_ == 0) {
        return false;
    }
    // the grammar takes E0 83 A9 for the character that is written C3 A9; it is no UTF-8
    const std::string bytes = piece(vocab_, token);
    const unsigned char first = bytes.empty() ? 0 : static_cast<unsigned char>(bytes.front());
    return first >= 0x80 && first < (lead_ == 0xE0 ? 0xA0 : 0x90);
}

} // namespace llamafu
