#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llamafu {

/// A regular expression of llama.cpp's tokenizers: ECMAScript's, with greedy repetition only and without
/// backreferences. Time and memory are linear in the text, and no recursion depends on it: a place that failed once is
/// not tried again. Immutable, so threads can share it.
class SplitPattern {
public:
    /// Throws std::invalid_argument for unsupported syntax.
    explicit SplitPattern(std::u32string_view expression);

    /// Splits each piece of a text into its matches and the text between them, and returns the lengths, none of which
    /// is 0. Throws std::length_error if there are more than that.
    std::vector<size_t> split(std::u32string_view text, const std::vector<size_t> & pieces, size_t most) const;

private:
    friend class SplitPatternCompiler;
    friend class SplitPatternSearch;

    enum class Kind { character, fork, look_ahead, end_of_text, match };

    struct Node {
        Kind kind;
        int next = -1;        ///< where it goes on; of a fork, what is tried first
        int other = -1;       ///< of a fork, what is tried then; of a look-ahead, what it looks for
        int index = -1;       ///< of a character, its class; of a fork or look-ahead, its mark
        bool negated = false; ///< of a look-ahead
    };

    /// The table has the code points below 256, with negation applied.
    struct CharacterClass {
        bool table[256] = {};
        std::vector<std::pair<char32_t, char32_t>> ranges; ///< sorted and disjoint
        bool negated = false;

        bool contains(char32_t c) const;
    };

    std::vector<Node> nodes_;
    std::vector<CharacterClass> classes_;
    int start_ = -1;
    int marks_ = 0; ///< how many nodes have one
};

/// Makes llama.cpp split texts with SplitPattern. Called once, before any model is loaded.
void use_split_patterns();

} // namespace llamafu
