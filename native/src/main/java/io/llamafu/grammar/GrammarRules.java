package io.llamafu.grammar;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeSet;

/** The rules of a grammar under construction. */
final class GrammarRules {
    private final Map<String, String> bodies = new LinkedHashMap<>();

    void add(String name, String body) {
        bodies.put(name, body);
    }

    /** Adds a rule that several others use. */
    void share(String name, String body) {
        bodies.putIfAbsent(name, body);
    }

    /**
     * Adds a rule for one of these texts, as a tree of common prefixes. llama.cpp follows every alternative that is
     * still possible and tests each token against all of them; a tree keeps their number low.
     */
    void addTexts(String name, Collection<String> texts) {
        Queue<Branch> waiting = new ArrayDeque<>();
        waiting.add(new Branch(name, List.copyOf(new TreeSet<>(texts)), 0));
        int next = 1;
        while (!waiting.isEmpty()) {
            Branch branch = waiting.remove();
            List<String> alternatives = new ArrayList<>();
            for (List<String> twig : branch.twigs()) {
                int end = commonLength(twig);
                String literal = Gbnf.literal(twig.get(0).substring(branch.from(), end));
                if (twig.size() == 1) {
                    alternatives.add(literal);
                } else {
                    String rest = name + "-" + next++;
                    alternatives.add(literal + " " + rest);
                    waiting.add(new Branch(rest, twig, end));
                }
            }
            add(branch.name(), String.join(" | ", alternatives));
        }
    }

    /**
     * Texts with a common prefix.
     *
     * @param texts sorted, without duplicates
     * @param from length of the prefix
     */
    private record Branch(String name, List<String> texts, int from) {
        /** Groups the texts by their next character; a text that ends here is a group of its own. */
        List<List<String>> twigs() {
            List<List<String>> twigs = new ArrayList<>();
            int start = 0;
            for (int i = 1; i <= texts.size(); i++) {
                if (i == texts.size() || next(texts.get(i)) != next(texts.get(start))) {
                    twigs.add(texts.subList(start, i));
                    start = i;
                }
            }
            return twigs;
        }

        private int next(String text) {
            return text.length() == from ? -1 : text.codePointAt(from);
        }
    }

    /** The length of the common prefix of sorted texts; never in the middle of a character. */
    private static int commonLength(List<String> texts) {
        String first = texts.get(0);
        String last = texts.get(texts.size() - 1);
        int at = 0;
        while (at < first.length() && at < last.length() && first.codePointAt(at) == last.codePointAt(at)) {
            at += Character.charCount(first.codePointAt(at));
        }
        return at;
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        bodies.forEach(
                (name, body) -> text.append(name).append(" ::= ").append(body).append('\n'));
        return text.toString();
    }
}
