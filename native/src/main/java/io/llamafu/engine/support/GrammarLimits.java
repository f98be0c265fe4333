package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

/** Limits within which llama.cpp's recursive GBNF parser cannot exhaust the stack of the calling thread. */
public final class GrammarLimits {
    public static final int MAX_CHARACTERS = 1 << 20;
    public static final int MAX_DEPTH = 200;

    private GrammarLimits() {}

    public static void check(String grammar) {
        if (grammar.length() > MAX_CHARACTERS) {
            throw new LlamafuException(
                    ErrorCode.INVALID_GRAMMAR,
                    "The grammar has %d characters, but may have %d; simplify it."
                            .formatted(grammar.length(), MAX_CHARACTERS));
        }
        if (grammar.indexOf('\0') >= 0) {
            throw new LlamafuException(
                    ErrorCode.INVALID_GRAMMAR,
                    "The grammar holds a NUL character, which no answer can hold; leave it out.");
        }
        int depth = 0;
        for (int i = 0; i < grammar.length(); i++) {
            char c = grammar.charAt(i);
            // quoted parentheses count too: the limit is far above what a real grammar nests
            depth += c == '(' ? 1 : c == ')' && depth > 0 ? -1 : 0;
            if (depth > MAX_DEPTH) {
                throw new LlamafuException(
                        ErrorCode.INVALID_GRAMMAR,
                        "The grammar nests more than %d parentheses; name the inner parts as rules."
                                .formatted(MAX_DEPTH));
            }
        }
    }
}
