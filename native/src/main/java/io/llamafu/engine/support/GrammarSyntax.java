package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static java.lang.Character.MAX_CODE_POINT;
import static java.lang.Character.MAX_SURROGATE;
import static java.lang.Character.MIN_SURROGATE;

/**
 * Checks that llama.cpp will accept a GBNF grammar, by the rules of its {@code llama-grammar.cpp}, for an engine that
 * silently answers without a grammar that it could not parse. Nothing is kept of the grammar.
 */
public final class GrammarSyntax {
    private static final int MAX_REPETITIONS = 2000;

    private final String text;
    private final Map<String, List<List<Item>>> rules = new HashMap<>();
    private int at;
    private int groups;

    /**
     * A part of a sequence that is not a character.
     *
     * @param rule the rule that it stands for; empty for a character
     * @param optional whether it may be left out
     * @param unbounded whether it may be repeated without end
     */
    private record Item(String rule, boolean optional, boolean unbounded) {}

    /** Characters by their code points; those that an escape names may be none. */
    private record CharacterRange(long first, long last) {
        private boolean isWritable() {
            long from = Math.max(1, first >= MIN_SURROGATE && first <= MAX_SURROGATE ? MAX_SURROGATE + 1 : first);
            return from <= Math.min(last, MAX_CODE_POINT);
        }
    }

    private GrammarSyntax(String text) {
        this.text = text;
    }

    /**
     * Checks a grammar.
     *
     * @param grammar one that is within {@link GrammarLimits}
     * @throws LlamafuException with INVALID_GRAMMAR
     */
    public static void check(String grammar) {
        GrammarLimits.check(grammar);
        GrammarSyntax syntax = new GrammarSyntax(grammar);
        syntax.readRules();
        syntax.checkReferences();
        syntax.checkRecursion();
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
            String name = readName();
            skipSpace(false);
            if (!text.startsWith("::=", at)) {
                throw expected("'::='");
            }
            at += 3;
            skipSpace(true);
            readAlternatives(name, false);
            if (at < text.length() && peek() != '\n' && peek() != '\r') {
                throw expected("a line break");
            }
            skipSpace(true);
        }
    }

    private void readAlternatives(String rule, boolean nested) {
        List<List<Item>> alternatives = new ArrayList<>();
        alternatives.add(readSequence(nested));
        while (peek() == '|') {
            at++;
            skipSpace(true);
            alternatives.add(readSequence(nested));
        }
        rules.put(rule, alternatives);
    }

    private List<Item> readSequence(boolean nested) {
        List<Item> items = new ArrayList<>();
        boolean repeatable = false;
        while (at < text.length()) {
            char c = peek();
            if (c == '"') {
                repeatable = readLiteral(items);
            } else if (c == '[') {
                readClass();
                repeatable = items.add(new Item("", false, false));
            } else if (isNameCharacter(c)) {
                repeatable = items.add(new Item(readName(), false, false));
            } else if (c == '(') {
                repeatable = items.add(new Item(readGroup(), false, false));
            } else if (c == '.') {
                at++;
                repeatable = items.add(new Item("", false, false));
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

    /** Adds an item for each character; false if there is none, and so nothing to repeat. */
    private boolean readLiteral(List<Item> items) {
        int before = items.size();
        at++;
        while (peek() != '"') {
            long character = readCharacter();
            requireWritable(List.of(new CharacterRange(character, character)), false);
            items.add(new Item("", false, false));
        }
        at++;
        return items.size() > before;
    }

    private void readClass() {
        at++;
        boolean others = peek() == '^';
        if (others) {
            at++;
        }
        List<CharacterRange> ranges = new ArrayList<>();
        while (peek() != ']') {
            long first = readCharacter();
            long last = first;
            if (peek() == '-' && at + 1 < text.length() && text.charAt(at + 1) != ']') {
                at++;
                last = readCharacter();
            }
            ranges.add(new CharacterRange(first, last));
        }
        at++;
        requireWritable(ranges, others);
    }

    /** Without a character that can go on an answer llama.cpp b4916 ends the process. */
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

    private String readGroup() {
        at++;
        skipSpace(true);
        // no name of the grammar can hold a space
        String name = "group " + groups++;
        readAlternatives(name, true);
        if (peek() != ')') {
            throw expected("')'");
        }
        at++;
        return name;
    }

    private Item repeated(Item item) {
        char c = text.charAt(at++);
        if (c != '{') {
            return new Item(item.rule(), item.optional() || c != '+', item.unbounded() || c != '?');
        }
        skipSpace(false);
        int least = readCount();
        boolean unbounded = false;
        skipSpace(false);
        if (peek() == ',') {
            at++;
            skipSpace(false);
            unbounded = !isDigit(peek());
            int unused = unbounded ? 0 : readCount();
            skipSpace(false);
        }
        if (peek() != '}') {
            throw expected("'}'");
        }
        at++;
        return new Item(item.rule(), item.optional() || least == 0, item.unbounded() || unbounded);
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
        if (digits == 0 && "trn\\\"[]".indexOf(escape) < 0) {
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

    /** NUL at the end, which {@link GrammarLimits} allows nowhere else. */
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

    private void checkReferences() {
        if (!rules.containsKey("root")) {
            throw invalid("it has no rule 'root'");
        }
        for (List<List<Item>> alternatives : rules.values()) {
            for (List<Item> sequence : alternatives) {
                for (Item item : sequence) {
                    if (!item.rule().isEmpty() && !rules.containsKey(item.rule())) {
                        throw invalid("it names the rule '%s', which it does not define".formatted(item.rule()));
                    }
                }
            }
        }
    }

    /** llama.cpp refuses a rule that can come back to itself before any character. */
    private void checkRecursion() {
        Set<String> empty = rulesThatMayBeEmpty();
        Map<String, Set<String>> firsts = new HashMap<>();
        rules.forEach((rule, alternatives) -> firsts.put(rule, firstRules(alternatives, empty)));
        Set<String> done = new HashSet<>();
        for (String rule : rules.keySet()) {
            visit(rule, firsts, new HashSet<>(), done);
        }
    }

    private Set<String> rulesThatMayBeEmpty() {
        Set<String> empty = new HashSet<>();
        boolean grown = true;
        while (grown) {
            grown = false;
            for (Map.Entry<String, List<List<Item>>> rule : rules.entrySet()) {
                if (rule.getValue().stream()
                        .anyMatch(sequence -> sequence.stream().allMatch(item -> mayBeEmpty(item, empty)))) {
                    grown |= empty.add(rule.getKey());
                }
            }
        }
        return empty;
    }

    private static boolean mayBeEmpty(Item item, Set<String> empty) {
        return item.optional() || empty.contains(item.rule());
    }

    private Set<String> firstRules(List<List<Item>> alternatives, Set<String> empty) {
        Set<String> first = new HashSet<>();
        for (List<Item> sequence : alternatives) {
            for (Item item : sequence) {
                if (item.unbounded() && empty.contains(item.rule())) {
                    throw invalid("it repeats without end what may be empty");
                }
            }
            for (Item item : sequence) {
                if (!item.rule().isEmpty()) {
                    first.add(item.rule());
                }
                if (!mayBeEmpty(item, empty)) {
                    break;
                }
            }
        }
        return first;
    }

    private void visit(String rule, Map<String, Set<String>> firsts, Set<String> path, Set<String> done) {
        if (done.contains(rule)) {
            return;
        }
        if (!path.add(rule)) {
            throw invalid("the rule '%s' begins with itself".formatted(rule));
        }
        firsts.get(rule).forEach(first -> visit(first, firsts, path, done));
        path.remove(rule);
        done.add(rule);
    }
}
