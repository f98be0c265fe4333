package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

import static java.lang.Character.MAX_CODE_POINT;
import static java.lang.Character.MAX_SURROGATE;
import static java.lang.Character.MIN_SURROGATE;

/**
 * Checks a GBNF grammar by the rules of llama.cpp's {@code llama-grammar.cpp}. Refuses a grammar that llama.cpp would not parse
 * or that would take too much time, memory or stack, see {@link GrammarWork}.
 */
public final class GrammarSyntax {
    public static final int MAX_CHARACTERS = 1 << 20;

    /** The greatest nesting of groups; llama.cpp's parser recurses for each. */
    public static final int MAX_DEPTH = 200;

    private static final int MAX_REPETITIONS = 2000;

    /** The version of llama.cpp that will read the grammar. */
    public enum Version {
        /** That of the engine {@code java-llama.cpp}. */
        B4916,
        /** Of the engine {@code native}: also has {@code <token>}, {@code !<token>} and {@code \\-}. */
        V0_5_0
    }

    private final String text;
    private final Version version;
    private final GrammarWork work = new GrammarWork();
    private String rule = "";
    private int at;
    private int depth;

    /** A range of code points; an escape may name one that is no character. */
    private record CharacterRange(long first, long last) {
        private boolean isWritable() {
            long from = Math.max(1, first >= MIN_SURROGATE && first <= MAX_SURROGATE ? MAX_SURROGATE + 1 : first);
            return from <= Math.min(last, MAX_CODE_POINT);
        }
    }

    private GrammarSyntax(String text, Version version) {
        this.text = text;
        this.version = version;
    }

    /**
     * Checks a grammar.
     *
     * @throws LlamafuException with INVALID_GRAMMAR
     */
    public static void check(String grammar, Version version) {
        if (grammar.length() > MAX_CHARACTERS) {
            throw new LlamafuException(
                    ErrorCode.INVALID_GRAMMAR,
                    "The grammar has %d characters, but may have %d; simplify it."
                            .formatted(grammar.length(), MAX_CHARACTERS));
        }
        if (grammar.indexOf('\0') >= 0) {
            throw new LlamafuException(
                    ErrorCode.INVALID_GRAMMAR,
                    "The grammar holds a NUL character, which no answer can hold; remove it.");
        }
        GrammarSyntax syntax = new GrammarSyntax(grammar, version);
        syntax.readRules();
        syntax.work.check();
    }

    private LlamafuException invalid(String problem) {
        return new LlamafuException(
                ErrorCode.INVALID_GRAMMAR, "The grammar does not parse: %s; correct it.".formatted(problem));
    }

    private LlamafuException expected(String what) {
        return invalid("%s is expected at index %d".formatted(what, at));
    }

    private void readRules() {
        skipSpace(true);
        while (at < text.length()) {
            rule = readName();
            skipSpace(false);
            if (!text.startsWith("::=", at)) {
                throw expected("'::='");
            }
            at += 3;
            skipSpace(true);
            work.define(rule, readAlternatives(false));
            if (at < text.length() && peek() != '\n' && peek() != '\r') {
                throw expected("a line break");
            }
            skipSpace(true);
        }
    }

    private List<List<GrammarWork.Item>> readAlternatives(boolean nested) {
        List<List<GrammarWork.Item>> alternatives = new ArrayList<>();
        alternatives.add(readSequence(nested));
        while (peek() == '|') {
            at++;
            skipSpace(true);
            alternatives.add(readSequence(nested));
        }
        return alternatives;
    }

    private List<GrammarWork.Item> readSequence(boolean nested) {
        List<GrammarWork.Item> items = new ArrayList<>();
        boolean repeatable = false;
        while (at < text.length()) {
            char c = peek();
            if (c == '"') {
                repeatable = addCharacters(items, readLiteral());
            } else if (c == '[') {
                repeatable = addCharacters(items, readClass());
            } else if (isNameCharacter(c)) {
                repeatable = items.add(GrammarWork.Item.of(work.reference(readName())));
            } else if (c == '(') {
                repeatable = items.add(GrammarWork.Item.of(readGroup()));
            } else if (c == '.') {
                at++;
                repeatable = addCharacters(items, 1);
            } else if ((c == '<' || c == '!') && version == Version.V0_5_0) {
                readToken();
                repeatable = addCharacters(items, 1);
            } else if (c == '*' || c == '+' || c == '?' || c == '{') {
                if (!repeatable) {
                    throw expected("something to repeat before '" + c + "'");
                }
                items.add(repeated(items.remove(items.size() - 1)));
            } else {
                break;
            }
            skipSpace(nested);
        }
        return items;
    }

    /** Returns false if there is none, and so nothing to repeat. */
    private static boolean addCharacters(List<GrammarWork.Item> items, int elements) {
        return elements > 0 && items.add(GrammarWork.Item.ofCharacters(elements));
    }

    /** Returns the number of characters. */
    private int readLiteral() {
        int characters = 0;
        at++;
        while (peek() != '"') {
            long character = readCharacter();
            requireWritable(List.of(new CharacterRange(character, character)), false);
            characters++;
        }
        at++;
        return characters;
    }

    /** Returns the number of elements that llama.cpp makes of it. */
    private int readClass() {
        int elements = 0;
        at++;
        boolean others = peek() == '^';
        if (others) {
            at++;
        }
        List<CharacterRange> ranges = new ArrayList<>();
        while (peek() != ']') {
            long first = readCharacter();
            long last = first;
            elements++;
            if (peek() == '-' && at + 1 < text.length() && text.charAt(at + 1) != ']') {
                at++;
                last = readCharacter();
                elements++;
            }
            ranges.add(new CharacterRange(first, last));
        }
        at++;
        requireWritable(ranges, others);
        return elements;
    }

    /** llama.cpp b4916 ends the process if no character can continue an answer. */
    private void requireWritable(List<CharacterRange> ranges, boolean others) {
        List<CharacterRange> wanted = others ? complement(ranges) : ranges;
        if (wanted.stream().noneMatch(CharacterRange::isWritable)) {
            throw invalid("it demands a character that no text has, such as \\x00");
        }
    }

    private static List<CharacterRange> complement(List<CharacterRange> ranges) {
        List<CharacterRange> complement = new ArrayList<>();
        long next = 0;
        for (CharacterRange range : ranges.stream()
                .sorted(Comparator.comparingLong(CharacterRange::first))
                .toList()) {
            complement.add(new CharacterRange(next, range.first() - 1));
            next = Math.max(next, range.last() + 1);
        }
        complement.add(new CharacterRange(next, MAX_CODE_POINT));
        return complement;
    }

    private void readToken() {
        if (peek() == '!') {
            at++;
        }
        int end = text.indexOf('>', at);
        if (peek() != '<' || end < 0) {
            throw expected("a token in '<' and '>'");
        }
        at = end + 1;
    }

    /** Returns the number of the group's rule. */
    private int readGroup() {
        at++;
        if (++depth > MAX_DEPTH) {
            throw invalid("it nests more than %d parentheses; name the inner parts as rules".formatted(MAX_DEPTH));
        }
        skipSpace(true);
        int group = work.defineGroup(rule, readAlternatives(true));
        depth--;
        if (peek() != ')') {
            throw expected("')'");
        }
        at++;
        return group;
    }

    private GrammarWork.Item repeated(GrammarWork.Item item) {
        char c = text.charAt(at++);
        if (c != '{') {
            return work.repeat(rule, item, c == '+' ? 1 : 0, c == '?' ? 1 : GrammarWork.UNBOUNDED);
        }
        skipSpace(false);
        int least = readCount();
        int most = least;
        skipSpace(false);
        if (peek() == ',') {
            at++;
            skipSpace(false);
            most = isDigit(peek()) ? readCount() : GrammarWork.UNBOUNDED;
            skipSpace(false);
        }
        if (peek() != '}') {
            throw expected("'}'");
        }
        at++;
        if (most != GrammarWork.UNBOUNDED && most < least) {
            throw invalid("it repeats something at least %d and at most %d times".formatted(least, most));
        }
        return work.repeat(rule, item, least, most);
    }

    private int readCount() {
        int start = at;
        while (isDigit(peek())) {
            at++;
        }
        if (at == start) {
            throw expected("a number");
        }
        String digits = text.substring(start, at);
        int count = digits.length() > 6 ? Integer.MAX_VALUE : Integer.parseInt(digits);
        if (count > MAX_REPETITIONS) {
            throw invalid("it repeats something %s times, but %d are accepted".formatted(digits, MAX_REPETITIONS));
        }
        return count;
    }

    private long readCharacter() {
        if (at >= text.length()) {
            throw expected("a character");
        }
        int c = text.codePointAt(at);
        at += Character.charCount(c);
        if (c != '\\') {
            return c;
        }
        char escape = peek();
        int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
        String others = version == Version.V0_5_0 ? "trn\\\"[]-" : "trn\\\"[]";
        if (digits == 0 && others.indexOf(escape) < 0) {
            throw expected("one of the escapes x, u, U, t, r, n, \\, \", [ and ]");
        }
        at++;
        long value = 0;
        for (int end = at + digits; at < end; at++) {
            int digit = Character.digit(peek(), 16);
            if (digit < 0) {
                throw expected("a hexadecimal digit");
            }
            value = 16 * value + digit;
        }
        return switch (escape) {
            case 't' -> '\t';
            case 'r' -> '\r';
            case 'n' -> '\n';
            default -> digits == 0 ? escape : value;
        };
    }

    private String readName() {
        int start = at;
        while (isNameCharacter(peek())) {
            at++;
        }
        if (at == start) {
            throw expected("the name of a rule");
        }
        return text.substring(start, at);
    }

    /** The current character; NUL at the end, which no grammar contains. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : '\0';
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private static boolean isNameCharacter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || isDigit(c);
    }

    private void skipSpace(boolean lineBreaks) {
        while (true) {
            char c = peek();
            if (c == '#') {
                while (at < text.length() && peek() != '\n' && peek() != '\r') {
                    at++;
                }
            } else if (c == ' ' || c == '\t' || (lineBreaks && (c == '\n' || c == '\r'))) {
                at++;
            } else {
                return;
            }
        }
    }
}
