#include "grammar_automaton.h"

#include "abort_guard.h"
#include "jni_support.h"

#include "llama-vocab.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <tuple>

// patch 0004: beyond it, a grammar throws std::length_error
extern thread_local uint64_t llama_grammar_steps;

namespace llamafu {

namespace {

constexpr uint32_t last_character = 0x10FFFF;
/// In few transitions a search is faster than a table, and a hundredth of its size.
constexpr size_t most_few = 16;
/// The longest text that follows without a choice, in bytes.
constexpr size_t most_forced = 512;
/// A token that goes on beyond a forced text begins at most this many bytes before its end.
constexpr size_t longest_overlap = 32;

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

/// Sorts ranges and joins those that overlap.
Ranges disjoint(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end());
    Ranges joined;
    for (const auto & [first, last] : ranges) {
        if (!joined.empty() && first <= joined.back().second) {
            joined.back().second = std::max(joined.back().second, last);
        } else if (first <= last) {
            joined.emplace_back(first, last);
        }
    }
    return joined;
}

/// All characters but these.
Ranges complement(const Ranges & ranges) {
    Ranges others;
    uint32_t from = 1;
    for (const auto & [first, last] : disjoint(ranges)) {
        if (first > from) {
            others.emplace_back(from, first - 1);
        }
        from = std::max(from, last + 1);
    }
    if (from <= last_character) {
        others.emplace_back(from, last_character);
    }
    return others;
}

/// The characters of an element of a grammar, which begins a class of characters.
void append_characters(const llama_grammar_element * at, Ranges & ranges) {
    if (at->type == LLAMA_GRETYPE_CHAR_ANY) {
        ranges.emplace_back(1, last_character);
        return;
    }
    const bool is_negated = at->type == LLAMA_GRETYPE_CHAR_NOT;
    Ranges listed;
    do {
        const bool is_range = at[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
        listed.emplace_back(at->value, is_range ? at[1].value : at->value);
        at += is_range ? 2 : 1;
    } while (at->type == LLAMA_GRETYPE_CHAR_ALT);
    if (is_negated) {
        listed = complement(listed);
    }
    ranges.insert(ranges.end(), listed.begin(), listed.end());
}

/// Whether a range of characters has one in common with sorted ranges.
bool intersects(const Ranges & ranges, uint32_t first, uint32_t last) {
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), std::make_pair(last, UINT32_MAX));
    return after != ranges.begin() && std::prev(after)->second >= first;
}

void append_utf8(std::string & text, uint32_t character) {
    if (character < 0x80) {
        text += static_cast<char>(character);
        return;
    }
    const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    text += static_cast<char>((0xFF00u >> (more + 1)) | (character >> (6 * more)));
    for (int i = more - 1; i >= 0; i--) {
        text += static_cast<char>(0x80 | ((character >> (6 * i)) & 0x3F));
    }
}

bool waits_for_a_token(const llama_grammar_stack & stack) {
    return !stack.empty()
        && (stack.back()->type == LLAMA_GRETYPE_TOKEN || stack.back()->type == LLAMA_GRETYPE_TOKEN_NOT);
}

bool matches_token(const llama_grammar_stack & stack, llama_token token) {
    return waits_for_a_token(stack)
        && (stack.back()->type == LLAMA_GRETYPE_TOKEN) == (stack.back()->value == static_cast<uint32_t>(token));
}

template <typename T>
void append(std::string & key, const T & value) {
    key.append(reinterpret_cast<const char *>(&value), sizeof value);
}

void set_bit(std::vector<uint64_t> & mask, llama_token token) {
    mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

std::vector<llama_token> tokens_of(const llama_vocab * vocab, const std::string & text) {
    std::vector<llama_token> tokens(text.size() + 2);
    const int32_t count = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
        static_cast<int32_t>(tokens.size()), false, false);
    tokens.resize(static_cast<size_t>(std::max(count, 0)));
    return tokens;
}

} // namespace

GrammarSteps::GrammarSteps(uint64_t & left) : left_(left) {
    llama_grammar_steps = left;
}

GrammarSteps::~GrammarSteps() {
    left_ = std::exchange(llama_grammar_steps, UINT64_MAX);
}

SortedTokens::SortedTokens(const llama_vocab * vocab)
    : vocab_(vocab), is_text_(static_cast<size_t>(llama_vocab_n_tokens(vocab))) {
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
        if (llama_vocab_is_eog(vocab, token)) {
            ends_.push_back(token);
            continue;
        }
        const std::string & text = bytes(token);
        const int attributes = llama_vocab_get_attr(vocab, token);
        const bool is_text = !text.empty() && text.find('\0') == std::string::npos
            && (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) == 0;
        if (is_text) {
            is_text_[static_cast<size_t>(token)] = true;
            entries_.push_back({token, 0, 0, 0});
        }
    }
    std::sort(entries_.begin(), entries_.end(), [&](const Entry & left, const Entry & right) {
        return std::tie(bytes(left.token), left.token) < std::tie(bytes(right.token), right.token);
    });
    std::string before;
    for (Entry & entry : entries_) {
        const std::string & text = bytes(entry.token);
        const auto mismatch = std::mismatch(before.begin(), before.end(), text.begin(), text.end());
        entry.shared = static_cast<uint32_t>(mismatch.second - text.begin());
        entry.begin = static_cast<uint32_t>(text_.size());
        text_ += text;
        entry.end = static_cast<uint32_t>(text_.size());
        before = text;
    }
    line_feed_ = tokens_of(vocab, "\n");
}

const std::string & SortedTokens::bytes(llama_token token) const {
    return vocab_->token_to_piece(token);
}

/// Some vocabularies add a blank before a text, so it is tokenized behind a line feed.
std::vector<llama_token> SortedTokens::tokenize(const std::string & text) const {
    std::vector<llama_token> tokens = tokens_of(vocab_, "\n" + text);
    if (tokens.size() < line_feed_.size() || !std::equal(line_feed_.begin(), line_feed_.end(), tokens.begin())) {
        return {};
    }
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(line_feed_.size()));
    std::string read;
    for (const llama_token token : tokens) {
        if (token < 0 || static_cast<size_t>(token) >= vocab_size() || !is_text(token)) {
            return {};
        }
        read += bytes(token);
    }
    return read == text ? tokens : std::vector<llama_token>();
}

GrammarAutomaton::GrammarAutomaton(
    std::shared_ptr<const SortedTokens> tokens, std::shared_ptr<llama_grammar> grammar)
    : tokens_(std::move(tokens)), grammar_(std::move(grammar)) {
    states_.push_back(std::make_unique<State>()); // dead
    state_of(grammar_->stacks);
}

GrammarAutomaton::GrammarAutomaton(const GrammarAutomaton & other, int32_t state)
    : tokens_(other.tokens_), grammar_(other.grammar_) {
    states_.push_back(std::make_unique<State>()); // dead
    const State & known = *other.states_[static_cast<size_t>(state)];
    const State & origin = *other.states_[static_cast<size_t>(known.origin)];
    const int32_t with_stacks = state_of(origin.stacks);
    if (known.remaining > 0) {
        within_character(with_stacks, known.value, known.remaining, known.least);
        std::swap(states_[1], states_[2]); // the start comes first
        states_[1]->origin = 2;
        states_[2]->origin = 2;
        known_.clear();
    }
}

void GrammarAutomaton::grow(size_t bytes) {
    bytes_ += bytes;
    if (bytes_ > most_bytes + most_bytes_at_once) {
        throw std::length_error("the grammar has too many states");
    }
}

int32_t GrammarAutomaton::add(const std::string & key, std::unique_ptr<State> state) {
    size_t bytes = sizeof(State) + 3 * sizeof(void *) + 2 * key.size() + sizeof(key)
        + state->characters.size() * sizeof(state->characters[0]);
    for (const llama_grammar_stack & stack : state->stacks) {
        bytes += sizeof stack + stack.size() * sizeof(void *);
    }
    grow(bytes);
    const int32_t id = static_cast<int32_t>(states_.size());
    if (state->origin == dead) {
        state->origin = id;
    }
    states_.push_back(std::move(state));
    known_.emplace(key, id);
    return id;
}

int32_t GrammarAutomaton::state_of(llama_grammar_stacks stacks) {
    std::sort(stacks.begin(), stacks.end());
    stacks.erase(std::unique(stacks.begin(), stacks.end()), stacks.end());
    std::string key;
    for (const llama_grammar_stack & stack : stacks) {
        append(key, stack.size());
        for (const llama_grammar_element * element : stack) {
            append(key, element);
        }
    }
    const auto found = known_.find(key);
    if (found != known_.end()) {
        return found->second;
    }
    auto state = std::make_unique<State>();
    Ranges characters;
    for (const llama_grammar_stack & stack : stacks) {
        if (stack.empty()) {
            state->may_end = true;
        } else if (waits_for_a_token(stack)) {
            state->names_tokens = true;
        } else {
            append_characters(stack.back(), characters);
        }
    }
    state->characters = disjoint(std::move(characters));
    state->stacks = std::move(stacks);
    return add(key, std::move(state));
}

int32_t GrammarAutomaton::within_character(int32_t origin, uint32_t value, int remaining, uint32_t least) {
    const uint32_t low = value << (6 * remaining);
    const uint32_t first = std::max(low, least);
    const uint32_t last = std::min(low | ((uint32_t{1} << (6 * remaining)) - 1), last_character);
    const bool is_surrogate = first >= 0xD800 && last <= 0xDFFF;
    if (first > last || is_surrogate || !intersects(at(origin).characters, first, last)) {
        return dead;
    }
    std::string key = "character"; // no key of stacks begins like this, for it would be too long a stack
    append(key, origin);
    append(key, value);
    append(key, remaining);
    const auto found = known_.find(key);
    if (found != known_.end()) {
        return found->second;
    }
    auto state = std::make_unique<State>();
    state->origin = origin;
    state->value = value;
    state->remaining = remaining;
    state->least = least;
    return add(key, std::move(state));
}

int32_t GrammarAutomaton::accept(const State & origin, uint32_t character) {
    grammar_->stacks = origin.stacks;
    llama_grammar_accept(grammar_.get(), character);
    return grammar_->stacks.empty() ? dead : state_of(std::move(grammar_->stacks));
}

int32_t GrammarAutomaton::compute_step(int32_t id, uint8_t byte) {
    const State & state = at(id);
    if (state.remaining == 0) {
        if (byte < 0x80) {
            return byte > 0 && intersects(state.characters, byte, byte) ? accept(state, byte) : dead;
        }
        if (byte < 0xC2 || byte > 0xF4) {
            return dead; // begins no character
        }
        const int remaining = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
        const uint32_t least = remaining == 1 ? 0x80 : remaining == 2 ? 0x800 : 0x10000;
        return within_character(id, byte & (0x3Fu >> remaining), remaining, least);
    }
    if ((byte & 0xC0) != 0x80) {
        return dead;
    }
    const uint32_t value = state.value << 6 | (byte & 0x3Fu);
    if (state.remaining > 1) {
        return within_character(state.origin, value, state.remaining - 1, state.least);
    }
    const bool is_character = value >= state.least && value <= last_character && (value < 0xD800 || value > 0xDFFF);
    const State & origin = at(state.origin);
    return is_character && intersects(origin.characters, value, value) ? accept(origin, value) : dead;
}

int32_t GrammarAutomaton::step(int32_t id, uint8_t byte) {
    State & state = at(id);
    if (state.many != nullptr) {
        int32_t & known = (*state.many)[byte];
        if (known == unknown) {
            known = compute_step(id, byte);
        }
        return known;
    }
    for (const auto & [known, next] : state.few) {
        if (known == byte) {
            return next;
        }
    }
    const int32_t next = compute_step(id, byte);
    if (next == dead) {
        return dead; // which is as quickly seen again
    }
    state.few.emplace_back(byte, next);
    if (state.few.size() > most_few) {
        grow(sizeof(std::array<int32_t, 256>));
        auto many = std::make_unique<std::array<int32_t, 256>>();
        many->fill(unknown);
        for (const auto & [known, after] : state.few) {
            (*many)[known] = after;
        }
        state.many = std::move(many);
        state.few = {};
    }
    return next;
}

int32_t GrammarAutomaton::walk(int32_t state, const std::string & bytes, size_t from) {
    for (size_t i = from; i < bytes.size() && state != dead; i++) {
        state = step(state, static_cast<uint8_t>(bytes[i]));
    }
    return state;
}

int32_t GrammarAutomaton::after(int32_t id, llama_token token) {
    const State & state = at(id);
    if (llama_vocab_is_eog(tokens_->vocab(), token)) {
        return state.may_end ? id : dead;
    }
    if (!tokens_->is_text(token)) {
        return dead;
    }
    const int32_t walked = walk(id, tokens_->bytes(token), 0);
    if (!state.names_tokens || !std::any_of(state.stacks.begin(), state.stacks.end(),
            [&](const llama_grammar_stack & stack) { return matches_token(stack, token); })) {
        return walked;
    }
    grammar_->stacks = state.stacks;
    grammar_->partial_utf8 = {};
    llama_grammar_accept_token(*grammar_, token, tokens_->bytes(token));
    const bool is_whole = std::exchange(grammar_->partial_utf8, {}).n_remain == 0;
    return is_whole ? state_of(std::move(grammar_->stacks)) : walked;
}

const std::vector<uint64_t> & GrammarAutomaton::mask(int32_t id) {
    State & state = at(id);
    if (state.mask == nullptr) {
        state.mask = std::make_unique<std::vector<uint64_t>>(compute_mask(id));
        grow(state.mask->size() * sizeof(uint64_t));
    }
    return *state.mask;
}

std::vector<uint64_t> GrammarAutomaton::compute_mask(int32_t id) {
    std::vector<uint64_t> mask((tokens_->vocab_size() + 63) / 64);
    std::vector<int32_t> path = {id}; // the states after 0, 1, ... bytes of a token, as far as they are allowed
    bool is_dead = false;
    for (const SortedTokens::Entry & entry : tokens_->entries()) {
        if (is_dead && entry.shared >= path.size()) {
            continue; // it begins with the bytes that are not allowed
        }
        path.resize(entry.shared + 1);
        is_dead = false;
        for (size_t i = entry.begin + entry.shared; i < entry.end && !is_dead; i++) {
            const int32_t next = step(path.back(), static_cast<uint8_t>(tokens_->text()[i]));
            is_dead = next == dead;
            if (!is_dead) {
                path.push_back(next);
            }
        }
        if (!is_dead) {
            set_bit(mask, entry.token);
        }
    }
    const State & state = at(id);
    if (state.may_end) {
        for (const llama_token end : tokens_->ends()) {
            set_bit(mask, end);
        }
    }
    if (state.names_tokens) {
        for (const SortedTokens::Entry & entry : tokens_->entries()) {
            if (std::any_of(state.stacks.begin(), state.stacks.end(),
                    [&](const llama_grammar_stack & stack) { return matches_token(stack, entry.token); })) {
                set_bit(mask, entry.token);
            }
        }
    }
    return mask;
}

const std::vector<llama_token> & GrammarAutomaton::forced(int32_t id) {
    State & state = at(id);
    if (state.forced == nullptr) {
        state.forced = std::make_unique<std::vector<llama_token>>(compute_forced(id));
        grow(sizeof(*state.forced) + state.forced->size() * sizeof(llama_token));
    }
    return *state.forced;
}

std::vector<llama_token> GrammarAutomaton::compute_forced(int32_t id) {
    std::string text;
    int32_t last = id;
    while (text.size() < most_forced) {
        const State & state = at(last);
        const bool has_one = state.remaining == 0 && !state.may_end && !state.names_tokens
            && state.characters.size() == 1 && state.characters[0].first == state.characters[0].second;
        if (!has_one) {
            break;
        }
        const size_t size = text.size();
        append_utf8(text, state.characters[0].first);
        const int32_t next = walk(last, text, size);
        if (next == dead) { // no UTF-8 for it
            return {};
        }
        last = next;
    }
    const State & state = at(last);
    const bool is_end = state.may_end && !state.names_tokens && state.characters.empty() && !tokens_->ends().empty();
    std::vector<llama_token> tokens;
    if (!text.empty()) {
        tokens = tokens_->tokenize(text);
        size_t kept = tokens.size();
        size_t from = text.size();
        for (size_t i = tokens.size(); i-- > 0 && !is_end;) {
            from -= tokens_->bytes(tokens[i]).size();
            if (text.size() - from > longest_overlap) {
                break;
            }
            if (goes_on_within_a_token(text.substr(from), last)) {
                kept = i;
            }
        }
        tokens.resize(kept);
        if (tokens.empty()) {
            return {};
        }
    }
    if (is_end) {
        tokens.push_back(tokens_->ends().front());
    }
    return tokens;
}

/// Whether a token begins with a text and goes on with what a state allows.
bool GrammarAutomaton::goes_on_within_a_token(const std::string & text, int32_t state) {
    const auto & entries = tokens_->entries();
    auto entry = std::lower_bound(entries.begin(), entries.end(), text,
        [&](const SortedTokens::Entry & left, const std::string & right) { return tokens_->bytes(left.token) < right; });
    for (; entry != entries.end(); ++entry) {
        const std::string & bytes = tokens_->bytes(entry->token);
        if (bytes.compare(0, text.size(), text) != 0) {
            return false;
        }
        if (bytes.size() > text.size() && walk(state, bytes, text.size()) != dead) {
            return true;
        }
    }
    return false;
}

std::shared_ptr<GrammarAutomaton> GrammarCache::get(const std::string & grammar, uint64_t most_steps) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto known = automata_.begin(); known != automata_.end(); ++known) {
            if (known->first == grammar) {
                automata_.splice(automata_.begin(), automata_, known);
                return known->second;
            }
        }
    }
    // not under the lock, which the decode thread needs
    std::call_once(once_, [&] { tokens_ = std::make_shared<const SortedTokens>(vocab_); });
    std::shared_ptr<GrammarAutomaton> automaton = build(grammar, most_steps);
    const std::lock_guard<std::mutex> lock(mutex_);
    automata_.remove_if([&](const auto & known) { return known.first == grammar; });
    automata_.emplace_front(grammar, automaton);
    evict();
    return automaton;
}

std::shared_ptr<GrammarAutomaton> GrammarCache::build(const std::string & grammar, uint64_t most_steps) const {
    const GrammarSteps limit(most_steps);
    try {
        std::shared_ptr<llama_grammar> parsed(
            llama_grammar_init_impl(vocab_, grammar.c_str(), "root", false, nullptr, 0, nullptr, 0),
            llama_grammar_free_impl);
        if (parsed != nullptr) {
            return std::make_shared<GrammarAutomaton>(tokens_, std::move(parsed));
        }
    } catch (const std::length_error &) {
        throw CodedError("INVALID_GRAMMAR", "The grammar is too complex: it has too many ways to begin. Write once what"
            " alternatives have in common; it begins: " + grammar.substr(0, 80));
    } catch (const LlamaAbort & e) {
        throw CodedError("INVALID_GRAMMAR", std::string("llama.cpp cannot begin with the grammar; ") + e.what()
            + "; it begins: " + grammar.substr(0, 80));
    }
    throw CodedError("INVALID_GRAMMAR",
        "The grammar does not parse as GBNF with a 'root' rule; it begins: " + grammar.substr(0, 80));
}

std::shared_ptr<GrammarAutomaton> GrammarCache::renew(
    const std::shared_ptr<GrammarAutomaton> & full, int32_t & state) {
    auto renewed = std::make_shared<GrammarAutomaton>(*full, state);
    state = GrammarAutomaton::start;
    const std::lock_guard<std::mutex> lock(mutex_);
    automata_.remove_if([&](const auto & known) { return known.second == full; }); // is built anew from its start
    evict();
    return renewed;
}

void GrammarCache::evict() {
    size_t bytes = 0;
    for (const auto & known : automata_) {
        bytes += known.second->bytes();
    }
    while (automata_.size() > 1 && (bytes > most_bytes || automata_.size() > most_grammars)) {
        bytes -= automata_.back().second->bytes();
        automata_.pop_back();
    }
}

} // namespace llamafu
