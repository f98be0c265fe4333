#include "split_pattern.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

// patch 0003
extern std::vector<size_t> (*unicode_regex_split_hook)(
    const std::u32string & text, const std::u32string & regex, const std::vector<size_t> & offsets);
extern thread_local size_t llama_tokenizer_limit;

namespace llamafu {

// ---- Compiling --------------------------------------------------------------------------------------------------------

/// Parses an expression and writes its nodes from the end to the beginning, so that each node's successor is known.
class SplitPatternCompiler {
public:
    SplitPatternCompiler(SplitPattern & pattern, std::u32string_view expression)
        : pattern_(pattern), expression_(expression) {}

    void compile() {
        const Part whole = read_choice();
        if (at_ != expression_.size()) {
            throw unknown();
        }
        pattern_.start_ = emit(whole, add({SplitPattern::Kind::match}));
    }

private:
    static constexpr size_t unlimited = SIZE_MAX;

    struct Part {
        enum class Kind { character, sequence, choice, repetition, look_ahead, end_of_text } kind;
        std::vector<Part> parts = {};
        int index = -1; ///< of a character, its class
        size_t least = 0;
        size_t most = 0;
        bool negated = false;
    };

    std::invalid_argument unknown() const {
        return std::invalid_argument("unknown syntax at index " + std::to_string(at_) + " of a pre-tokenizer's expression");
    }

    bool next_is(char32_t c) const { return at_ < expression_.size() && expression_[at_] == c; }

    bool skip(char32_t c) {
        const bool found = next_is(c);
        at_ += found ? 1 : 0;
        return found;
    }

    char32_t take() {
        if (at_ == expression_.size()) {
            throw unknown();
        }
        return expression_[at_++];
    }

    Part read_choice() {
        Part choice{Part::Kind::choice};
        do {
            choice.parts.push_back(read_sequence());
        } while (skip('|'));
        return choice.parts.size() == 1 ? std::move(choice.parts.front()) : choice;
    }

    Part read_sequence() {
        Part sequence{Part::Kind::sequence};
        while (at_ < expression_.size() && !next_is('|') && !next_is(')')) {
            sequence.parts.push_back(read_repeated(read_single()));
        }
        return sequence;
    }

    Part read_single() {
        const char32_t c = take();
        switch (c) {
            case '(': return read_group();
            case '[': return character(read_class());
            case '$': return Part{Part::Kind::end_of_text};
            case '\\': {
                SplitPattern::CharacterClass escaped;
                add_escape(escaped, take());
                return character(std::move(escaped));
            }
            case '.': case '^': case '*': case '+': case '?': case '{': case '}': case ']': throw unknown();
            default: {
                SplitPattern::CharacterClass literal;
                literal.ranges.emplace_back(c, c);
                return character(std::move(literal));
            }
        }
    }

    Part read_group() {
        bool look_ahead = false;
        bool negated = false;
        if (skip('?')) {
            const char32_t what = take();
            negated = what == '!';
            look_ahead = negated || what == '=';
            if (!look_ahead && what != ':') {
                throw unknown();
            }
        }
        Part inner = read_choice();
        if (take() != ')') {
            throw unknown();
        }
        if (!look_ahead) {
            return inner;
        }
        Part look{Part::Kind::look_ahead};
        look.negated = negated;
        look.parts.push_back(std::move(inner));
        return look;
    }

    Part read_repeated(Part part) {
        Part repetition{Part::Kind::repetition};
        if (skip('*')) {
            repetition.most = unlimited;
        } else if (skip('+')) {
            repetition.least = 1;
            repetition.most = unlimited;
        } else if (skip('?')) {
            repetition.most = 1;
        } else if (skip('{')) {
            repetition.least = read_number();
            repetition.most = repetition.least;
            if (skip(',')) {
                repetition.most = next_is('}') ? unlimited : read_number();
            }
            if (take() != '}') {
                throw unknown();
            }
        } else {
            return part;
        }
        if (next_is('*') || next_is('+') || next_is('?') || next_is('{')) {
            throw unknown();
        }
        repetition.parts.push_back(std::move(part));
        return repetition;
    }

    size_t read_number() {
        size_t number = 0;
        const size_t start = at_;
        while (at_ < expression_.size() && expression_[at_] >= '0' && expression_[at_] <= '9' && number < 10000) {
            number = 10 * number + (expression_[at_++] - '0');
        }
        if (at_ == start) {
            throw unknown();
        }
        return number;
    }

    SplitPattern::CharacterClass read_class() {
        SplitPattern::CharacterClass read;
        read.negated = skip('^');
        while (!skip(']')) {
            char32_t first = take();
            if (first == '\\') {
                first = take();
                if (add_shorthand(read, first)) {
                    continue;
                }
                first = escaped(first);
            }
            char32_t last = first;
            if (next_is('-') && at_ + 1 < expression_.size() && expression_[at_ + 1] != ']') {
                at_++;
                last = take();
                last = last == '\\' ? escaped(take()) : last;
            }
            if (last < first) {
                throw unknown();
            }
            read.ranges.emplace_back(first, last);
        }
        return read;
    }

    void add_escape(SplitPattern::CharacterClass & to, char32_t c) {
        if (c == 'S') {
            add_shorthand(to, 's');
            to.negated = true;
        } else if (!add_shorthand(to, c)) {
            to.ranges.emplace_back(escaped(c), escaped(c));
        }
    }

    /// llama.cpp replaces other white space by a vertical tab before it splits a text.
    static bool add_shorthand(SplitPattern::CharacterClass & to, char32_t c) {
        if (c == 's') {
            to.ranges.emplace_back('\t', '\r');
            to.ranges.emplace_back(' ', ' ');
        } else if (c == 'd') {
            to.ranges.emplace_back('0', '9');
        }
        return c == 's' || c == 'd';
    }

    char32_t escaped(char32_t c) const {
        if (c == 'r' || c == 'n' || c == 't') {
            return c == 'r' ? '\r' : c == 'n' ? '\n' : '\t';
        }
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
            throw unknown();
        }
        return c;
    }

    Part character(SplitPattern::CharacterClass read) {
        std::sort(read.ranges.begin(), read.ranges.end());
        std::vector<std::pair<char32_t, char32_t>> disjoint;
        for (const auto & range : read.ranges) {
            if (!disjoint.empty() && range.first <= disjoint.back().second) {
                disjoint.back().second = std::max(disjoint.back().second, range.second);
            } else {
                disjoint.push_back(range);
            }
        }
        read.ranges = std::move(disjoint);
        for (char32_t c = 0; c < 256; c++) {
            read.table[c] = read.negated;
        }
        for (const auto & range : read.ranges) {
            for (char32_t c = range.first; c <= range.second && c < 256; c++) {
                read.table[c] = !read.negated;
            }
        }
        pattern_.classes_.push_back(std::move(read));
        Part part{Part::Kind::character};
        part.index = static_cast<int>(pattern_.classes_.size()) - 1;
        return part;
    }

    int add(SplitPattern::Node node) {
        pattern_.nodes_.push_back(node);
        return static_cast<int>(pattern_.nodes_.size()) - 1;
    }

    int add_fork(int first, int second) {
        return add({SplitPattern::Kind::fork, first, second, pattern_.marks_++});
    }

    /// Returns the first node of the part.
    int emit(const Part & part, int next) {
        switch (part.kind) {
            case Part::Kind::character: return add({SplitPattern::Kind::character, next, -1, part.index});
            case Part::Kind::end_of_text: return add({SplitPattern::Kind::end_of_text, next});
            case Part::Kind::look_ahead: {
                const int inner = emit(part.parts.front(), add({SplitPattern::Kind::match}));
                return add({SplitPattern::Kind::look_ahead, next, inner, pattern_.marks_++, part.negated});
            }
            case Part::Kind::sequence: {
                for (auto last = part.parts.rbegin(); last != part.parts.rend(); ++last) {
                    next = emit(*last, next);
                }
                return next;
            }
            case Part::Kind::choice: {
                int start = emit(part.parts.back(), next);
                for (size_t i = part.parts.size() - 1; i > 0; i--) {
                    start = add_fork(emit(part.parts[i - 1], next), start);
                }
                return start;
            }
            case Part::Kind::repetition: return emit_repetition(part, next);
        }
        throw unknown();
    }

    int emit_repetition(const Part & repetition, int next) {
        const Part & part = repetition.parts.front();
        int start = next;
        if (repetition.most == unlimited) {
            start = add_fork(-1, next);
            const int body = emit(part, start);
            pattern_.nodes_[static_cast<size_t>(start)].next = body;
        } else {
            for (size_t i = repetition.least; i < repetition.most; i++) {
                start = add_fork(emit(part, start), next);
            }
        }
        for (size_t i = 0; i < repetition.least; i++) {
            start = emit(part, start);
        }
        return start;
    }

    SplitPattern & pattern_;
    std::u32string_view expression_;
    size_t at_ = 0;
};

SplitPattern::SplitPattern(std::u32string_view expression) {
    SplitPatternCompiler(*this, expression).compile();
}

bool SplitPattern::CharacterClass::contains(char32_t c) const {
    if (c < 256) {
        return table[c];
    }
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), std::make_pair(c, char32_t{UINT32_MAX}));
    return (after != ranges.begin() && c <= std::prev(after)->second) != negated;
}

// ---- Searching --------------------------------------------------------------------------------------------------------

/// Searches for all matches in one text after the other. Tries alternatives in order and backtracks with an explicit
/// stack, and records the forks and places that led to no match.
class SplitPatternSearch {
public:
    explicit SplitPatternSearch(const SplitPattern & pattern) : pattern_(pattern) {}

    void begin(std::u32string_view text) {
        text_ = text;
        failed_.assign(mark(static_cast<size_t>(pattern_.marks_), 0), false);
        succeeded_.assign(failed_.size(), false);
    }

    static constexpr size_t none = SIZE_MAX;

    /// The end of the match that begins at a place.
    size_t match(size_t from) { return run(pattern_.start_, from, false); }

private:
    struct Choice {
        int node;
        size_t at;
        size_t path; ///< the length of the path that leads here
    };

    size_t mark(size_t index, size_t at) const { return index * (text_.size() + 1) + at; }

    /// Recurses for look-aheads only, as deep as they are nested in the expression.
    size_t run(int node, size_t at, bool looking) {
        const size_t first_choice = choices_.size();
        const size_t path = path_.size();
        size_t end = none;
        while (end == none) {
            if (!step(node, at, looking, end) && end == none) {
                if (choices_.size() == first_choice) {
                    break;
                }
                node = choices_.back().node;
                at = choices_.back().at;
                path_.resize(choices_.back().path);
                choices_.pop_back();
            }
        }
        if (end != none) {
            // the path to a match has not failed; a look-ahead may take it again
            for (size_t i = path; i < path_.size(); i++) {
                failed_[path_[i]] = false;
                succeeded_[path_[i]] = looking;
            }
        }
        choices_.resize(first_choice);
        path_.resize(path);
        return end;
    }

    /// Moves to the next node; false if there is none, because the match failed or is complete.
    bool step(int & node, size_t & at, bool looking, size_t & end) {
        const SplitPattern::Node & here = pattern_.nodes_[static_cast<size_t>(node)];
        switch (here.kind) {
            case SplitPattern::Kind::character:
                if (at == text_.size() || !pattern_.classes_[static_cast<size_t>(here.index)].contains(text_[at])) {
                    return false;
                }
                at++;
                break;
            case SplitPattern::Kind::fork: {
                const size_t place = mark(static_cast<size_t>(here.index), at);
                if (looking && succeeded_[place]) {
                    end = at;
                    return false;
                }
                if (failed_[place]) {
                    return false;
                }
                failed_[place] = true; // failed until it leads to a match
                path_.push_back(place);
                choices_.push_back({here.other, at, path_.size()});
                break;
            }
            case SplitPattern::Kind::look_ahead:
                if (sees(here, at) == here.negated) {
                    return false;
                }
                break;
            case SplitPattern::Kind::end_of_text:
                if (at != text_.size()) {
                    return false;
                }
                break;
            case SplitPattern::Kind::match:
                end = at;
                return false;
        }
        node = here.next;
        return true;
    }

    bool sees(const SplitPattern::Node & look_ahead, size_t at) {
        const size_t place = mark(static_cast<size_t>(look_ahead.index), at);
        if (!failed_[place] && !succeeded_[place]) {
            const bool found = run(look_ahead.other, at, true) != none;
            (found ? succeeded_ : failed_)[place] = true;
        }
        return succeeded_[place];
    }

    const SplitPattern & pattern_;
    std::u32string_view text_;
    std::vector<bool> failed_;
    std::vector<bool> succeeded_; ///< in look-aheads, of which only success counts, not how long the match is
    std::vector<Choice> choices_;
    std::vector<size_t> path_; ///< the marks of the forks that lead to where the search is
};

std::vector<size_t> SplitPattern::split(
    std::u32string_view text, const std::vector<size_t> & pieces, size_t most) const {
    SplitPatternSearch search(*this);
    std::vector<size_t> lengths;
    const auto add = [&](size_t length) {
        if (length > 0) {
            lengths.push_back(length);
        }
        if (lengths.size() > most) {
            throw std::length_error("too many pieces");
        }
    };
    for (const size_t size : pieces) {
        search.begin(text.substr(0, size));
        size_t done = 0;
        for (size_t from = 0; from < size;) {
            const size_t end = search.match(from);
            if (end == SplitPatternSearch::none) {
                from++;
                continue;
            }
            add(from - done);
            add(end - from);
            done = end;
            from = std::max(end, from + 1);
        }
        add(size - done);
        text.remove_prefix(size);
    }
    return lengths;
}

// ---- The hook ---------------------------------------------------------------------------------------------------------

namespace {

/// Each is compiled once; a tokenizer has a few of them.
const SplitPattern & compiled(const std::u32string & expression) {
    static std::mutex lock;
    static std::map<std::u32string, std::unique_ptr<const SplitPattern>> patterns;
    const std::lock_guard<std::mutex> guard(lock);
    std::unique_ptr<const SplitPattern> & pattern = patterns[expression];
    if (pattern == nullptr) {
        pattern = std::make_unique<const SplitPattern>(expression);
    }
    return *pattern;
}

std::vector<size_t> split(
    const std::u32string & text, const std::u32string & expression, const std::vector<size_t> & pieces) {
    return compiled(expression).split(text, pieces, llama_tokenizer_limit); // a piece is at least one token
}

} // namespace

void use_split_patterns() {
    unicode_regex_split_hook = split;
}

} // namespace llamafu
