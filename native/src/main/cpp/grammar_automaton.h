#pragma once

#include "llama-grammar.h"
#include "llama.h"

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace llamafu {

/// The tokens of a vocabulary that text consists of, in the order of their bytes. Immutable.
class SortedTokens {
public:
    struct Entry {
        llama_token token;
        uint32_t shared; ///< leading bytes in common with the entry before
        uint32_t begin;  ///< of its bytes among those of all entries
        uint32_t end;
    };

    explicit SortedTokens(const llama_vocab * vocab);

    const llama_vocab * vocab() const { return vocab_; }
    size_t vocab_size() const { return is_text_.size(); }
    const std::vector<Entry> & entries() const { return entries_; }
    /// The bytes of all entries one after the other, so that a walk over them reads memory in order.
    const std::string & text() const { return text_; }
    const std::string & bytes(llama_token token) const;
    /// Control tokens have names, which answers leave out.
    bool is_text(llama_token token) const { return is_text_[static_cast<size_t>(token)]; }
    /// The tokens that end an answer.
    const std::vector<llama_token> & ends() const { return ends_; }
    /// The tokens of a text in the middle of another; nothing if they cannot be told from those at its beginning.
    std::vector<llama_token> tokenize(const std::string & text) const;

private:
    const llama_vocab * vocab_;
    std::vector<Entry> entries_;
    std::string text_;
    std::vector<bool> is_text_;
    std::vector<llama_token> ends_;
    std::vector<llama_token> line_feed_;
};

/// A grammar as an automaton over bytes, which is built as far as answers need it. A state stands for the stacks of a parser,
/// and keeps which tokens it allows: a bit for each, found in one walk over the sorted tokens. All sequences of a grammar
/// share its states, so that most masks are looked up.
///
/// Used by one thread, except for bytes(). A transition that is not known yet costs steps of the grammar, see TokenSampler.
class GrammarAutomaton {
public:
    static constexpr int32_t dead = 0;
    static constexpr int32_t start = 1;

    /// At the start of a grammar.
    GrammarAutomaton(std::shared_ptr<const SortedTokens> tokens, std::shared_ptr<llama_grammar> grammar);
    /// With one state of another automaton, which becomes the start.
    GrammarAutomaton(const GrammarAutomaton & other, int32_t state);

    /// Whether it has grown so large that its users should go on with another.
    bool is_full() const { return bytes_ > most_bytes; }
    size_t bytes() const { return bytes_; }

    /// The state after a token; `dead` if it is not allowed.
    int32_t after(int32_t state, llama_token token);
    /// A bit for each token that is allowed, least significant first.
    const std::vector<uint64_t> & mask(int32_t state);
    /// The tokens that follow because no other text is possible, up to where the text could go on differently within a token;
    /// at the end of the only text with a token that ends the answer.
    const std::vector<llama_token> & forced(int32_t state);

private:
    using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

    static constexpr int32_t unknown = -1;
    static constexpr size_t most_bytes = size_t{16} << 20;
    /// What a single token may add to it.
    static constexpr size_t most_bytes_at_once = size_t{128} << 20;

    struct State {
        int32_t origin = dead; ///< the state that has the stacks: itself, unless it is within a character
        llama_grammar_stacks stacks;
        Ranges characters; ///< that may come next, sorted and disjoint
        bool may_end = false;
        bool names_tokens = false; ///< a stack waits for a token by its number
        uint32_t value = 0;        ///< bits of the character so far
        int remaining = 0;         ///< bytes of the character that are missing
        uint32_t least = 0;        ///< the least character of that many bytes
        std::vector<std::pair<uint8_t, int32_t>> few; ///< transitions, while there are few
        std::unique_ptr<std::array<int32_t, 256>> many;
        std::unique_ptr<std::vector<uint64_t>> mask;
        std::unique_ptr<std::vector<llama_token>> forced;
    };

    State & at(int32_t state) { return *states_[static_cast<size_t>(state)]; }
    int32_t step(int32_t state, uint8_t byte);
    int32_t compute_step(int32_t state, uint8_t byte);
    int32_t walk(int32_t state, const std::string & bytes, size_t from);
    int32_t accept(const State & origin, uint32_t character);
    int32_t within_character(int32_t origin, uint32_t value, int remaining, uint32_t least);
    int32_t state_of(llama_grammar_stacks stacks);
    int32_t add(const std::string & key, std::unique_ptr<State> state);
    void grow(size_t bytes);
    std::vector<uint64_t> compute_mask(int32_t state);
    std::vector<llama_token> compute_forced(int32_t state);
    bool goes_on_within_a_token(const std::string & text, int32_t state);

    std::shared_ptr<const SortedTokens> tokens_;
    std::shared_ptr<llama_grammar> grammar_; ///< owns the rules that all stacks point into; its own stacks are scratch
    std::vector<std::unique_ptr<State>> states_;
    std::unordered_map<std::string, int32_t> known_;
    std::atomic<size_t> bytes_{0};
};

/// The automata of a model, by grammar. Thread-safe; the automata are not.
class GrammarCache {
public:
    explicit GrammarCache(const llama_vocab * vocab) : vocab_(vocab) {}

    /// Throws CodedError INVALID_GRAMMAR. At most `most_steps` are spent on its beginning.
    std::shared_ptr<GrammarAutomaton> get(const std::string & grammar, uint64_t most_steps);
    /// An automaton to go on with after `full`, and the state that stands for `state` in it.
    std::shared_ptr<GrammarAutomaton> renew(const std::shared_ptr<GrammarAutomaton> & full, int32_t & state);

private:
    static constexpr size_t most_grammars = 64;
    static constexpr size_t most_bytes = size_t{64} << 20;

    std::shared_ptr<GrammarAutomaton> build(const std::string & grammar, uint64_t most_steps) const;
    void evict();

    const llama_vocab * vocab_;
    std::once_flag once_;
    std::shared_ptr<const SortedTokens> tokens_; ///< sorted for the first grammar
    std::mutex mutex_;
    /// The most recently used first.
    std::list<std::pair<std::string, std::shared_ptr<GrammarAutomaton>>> automata_;
};

/// How many steps the grammars of this thread may still take, while it lives; writes back what is left.
class GrammarSteps {
public:
    explicit GrammarSteps(uint64_t & left);
    ~GrammarSteps();
    GrammarSteps(const GrammarSteps &) = delete;
    GrammarSteps & operator=(const GrammarSteps &) = delete;

private:
    uint64_t & left_;
};

} // namespace llamafu
