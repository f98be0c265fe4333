#include "token_sampler.h"

#include "abort_guard.h"
#include "jni_support.h"
#include "token_text.h"

#include "llama-vocab.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

// patch 0004: beyond it, a grammar throws std::length_error
extern thread_local uint64_t llama_grammar_steps;

namespace llamafu {

namespace {

/// The most steps of a grammar, at its start and for one token. A step takes about a nanosecond.
constexpr uint64_t most_grammar_steps = 500'000'000;
/// How many of them each token gives back. The decode thread samples all sequences, so none may take much of its time; but
/// testing the whole vocabulary against a stack or two must be possible.
constexpr uint64_t grammar_steps_per_token = 20'000'000;
constexpr uint64_t grammar_steps_per_vocabulary_token = 100;

/// While it lives, counts the steps of this thread's grammars down from those left.
class GrammarSteps {
public:
    explicit GrammarSteps(uint64_t & left) : left_(left) { llama_grammar_steps = left; }
    ~GrammarSteps() { left_ = std::exchange(llama_grammar_steps, UINT64_MAX); }
    GrammarSteps(const GrammarSteps &) = delete;
    GrammarSteps & operator=(const GrammarSteps &) = delete;

private:
    uint64_t & left_;
};

using CharacterRanges = std::vector<std::pair<uint32_t, uint32_t>>;

/// The characters that a grammar allows next, sorted; nothing if it does not list them.
std::optional<CharacterRanges> next_characters(const llama_grammar & grammar) {
    CharacterRanges ranges;
    for (const llama_grammar_stack & stack : grammar.stacks) {
        if (stack.empty()) {
            continue;
        }
        const llama_grammar_element * at = stack.back();
        if (at->type != LLAMA_GRETYPE_CHAR) {
            return std::nullopt;
        }
        do {
            const bool is_range = at[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
            ranges.emplace_back(at->value, is_range ? at[1].value : at->value);
            at += is_range ? 2 : 1;
        } while (at->type == LLAMA_GRETYPE_CHAR_ALT);
    }
    std::sort(ranges.begin(), ranges.end());
    CharacterRanges disjoint;
    for (const auto & range : ranges) {
        if (!disjoint.empty() && range.first <= disjoint.back().second) {
            disjoint.back().second = std::max(disjoint.back().second, range.second);
        } else if (range.first <= range.second) {
            disjoint.push_back(range);
        }
    }
    return disjoint;
}

/// The character that a text in UTF-8 begins with; nothing if it is not complete.
std::optional<uint32_t> first_character(const std::string & text) {
    const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
    if (text.empty()) {
        return std::nullopt;
    }
    const uint32_t lead = byte(0);
    const size_t size = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (size == 0 || text.size() < size) {
        return std::nullopt;
    }
    uint32_t character = size == 1 ? lead : lead & (0x7F >> size);
    for (size_t at = 1; at < size; at++) {
        character = character << 6 | (byte(at) & 0x3F);
    }
    return character;
}

bool contains(const CharacterRanges & ranges, uint32_t character) {
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), std::make_pair(character, UINT32_MAX));
    return after != ranges.begin() && character <= std::prev(after)->second;
}

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

TokenSampler::TokenSampler(const llama_vocab * vocab, const SamplingNumbers & s,
    const std::vector<llama_logit_bias> & logit_bias, const std::string & grammar)
    : vocab_(vocab), vocab_size_(llama_vocab_n_tokens(vocab)), greedy_(s.temperature == 0),
      mirostat_(s.mirostat && !greedy_), typical_(!greedy_ && !mirostat_ && s.typical_p < 1),
      adjust_(new_chain()), grammar_steps_(most_grammar_steps), choice_(new_chain()) {
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
        uint64_t left = most_grammar_steps;
        const GrammarSteps limit(left);
        try {
            grammar_.reset(llama_grammar_init_impl(vocab, grammar.c_str(), "root", false, nullptr, 0, nullptr, 0));
        } catch (const std::length_error &) {
            throw CodedError("INVALID_GRAMMAR", "The grammar is too complex: it has too many ways to begin. Write once what"
                " alternatives have in common; it begins: " + grammar.substr(0, 80));
        } catch (const LlamaAbort & e) {
            throw CodedError("INVALID_GRAMMAR", std::string("llama.cpp cannot begin with the grammar; ") + e.what()
                + "; it begins: " + grammar.substr(0, 80));
        }
        if (grammar_ == nullptr) {
            throw CodedError("INVALID_GRAMMAR",
                "The grammar does not parse as GBNF with a 'root' rule; it begins: " + grammar.substr(0, 80));
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
    if (grammar_ == nullptr) {
        return sample_within_steps(logits);
    }
    const uint64_t refill =
        grammar_steps_per_token + grammar_steps_per_vocabulary_token * static_cast<uint64_t>(vocab_size_);
    grammar_steps_ = std::min(grammar_steps_ + refill, most_grammar_steps);
    const GrammarSteps limit(grammar_steps_);
    try {
        return sample_within_steps(logits);
    } catch (const std::length_error &) {
        throw CodedError("GRAMMAR_TOO_COMPLEX", "The grammar has too many ways to go on after this answer's beginning."
            " Let alternatives differ in their first characters, and write once what they have in common.");
    }
}

llama_token TokenSampler::sample_within_steps(const float * logits) {
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
        llama_grammar_accept_impl(*grammar_, token);
        const std::string bytes = token_text(vocab_, token, true);
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
        logit = std::isnan(logit) ? -INFINITY : std::min(logit, FLT_MAX); // a bias or a penalty overflowed
    }
}

void TokenSampler::constrain() {
    drop_impossible();
    llama_grammar_apply_impl(*grammar_, &current_);
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

/// Drops the tokens whose first character no stack of the grammar accepts, which is faster than testing each token.
void TokenSampler::drop_impossible() {
    const std::optional<CharacterRanges> ranges = next_characters(*grammar_);
    if (!ranges || grammar_->partial_utf8.n_remain != 0) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < current_.size; i++) {
        const llama_token token = current_.data[i].id;
        const std::optional<uint32_t> first = first_character(vocab_->token_to_piece(token));
        if (!first || contains(*ranges, *first) || llama_vocab_is_eog(vocab_, token)) {
            current_.data[kept++] = current_.data[i];
        }
    }
    current_.size = kept;
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

bool TokenSampler::grammar_allows(llama_token token) {
    llama_token_data single = {token, 1.0f, 0.0f};
    llama_token_data_array array = {&single, 1, -1, false};
    llama_grammar_apply_impl(*grammar_, &array);
    return std::isfinite(single.logit) && !is_misread(token);
}

/// Whether the grammar reads a token as a text that the answer will not contain.
bool TokenSampler::is_misread(llama_token token) const {
    const int attributes = llama_vocab_get_attr(vocab_, token);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
        return !llama_vocab_is_eog(vocab_, token); // the grammar reads its name, which answers leave out
    }
    if (lead_ == 0) {
        return false;
    }
    // the grammar accepts E0 83 A9, which is no UTF-8, for the character C3 A9
    const std::string bytes = token_text(vocab_, token, true);
    const unsigned char first = bytes.empty() ? 0 : static_cast<unsigned char>(bytes.front());
    return first >= 0x80 && first < (lead_ == 0xE0 ? 0xA0 : 0x90);
}

} // namespace llamafu
