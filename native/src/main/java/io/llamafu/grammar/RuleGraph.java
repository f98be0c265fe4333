package io.llamafu.grammar;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The dependencies between rules, used to find schemas that no document can satisfy. */
final class RuleGraph {
    /** llama.cpp recurses through nested choices, as do similar parsers. */
    private static final int MAX_NESTED_CHOICES = 32;

    private final Map<String, Rule> rules = new LinkedHashMap<>();

    /**
     * A rule.
     *
     * @param ways the ways to write a document, each with the rules that it requires
     * @param choices the rules that can replace it, with nothing written before them
     */
    private record Rule(Schema schema, List<List<String>> ways, Set<String> choices) {}

    /** Adds a way to write a document of a schema. */
    void document(String name, Schema schema, List<String> needed) {
        rules.computeIfAbsent(name, added -> new Rule(schema, new ArrayList<>(), Set.of()))
                .ways()
                .add(needed);
    }

    void choice(String name, Schema schema, Set<String> choices) {
        rules.put(name, new Rule(schema, choices.stream().map(List::of).toList(), choices));
    }

    void check() {
        Map<String, Integer> depths = new HashMap<>();
        rules.keySet().forEach(name -> nestedChoices(name, 0, depths));
        Set<String> finite = finiteRules();
        rules.forEach((name, rule) -> {
            if (!finite.contains(name)) {
                throw rule.schema().invalid("every document of it would need another one within it, without end");
            }
        });
    }

    /** The depth of nested choices; a choice that leads to itself nests without end. */
    private int nestedChoices(String name, int above, Map<String, Integer> depths) {
        Rule rule = rules.get(name);
        int depth = depths.getOrDefault(name, -1);
        if (depth < 0 && above <= MAX_NESTED_CHOICES) {
            depth = 0;
            for (String choice : rule.choices()) {
                depth = Math.max(depth, 1 + nestedChoices(choice, above + 1, depths));
            }
            depths.put(name, depth);
        }
        if (above > MAX_NESTED_CHOICES || above + depth > MAX_NESTED_CHOICES) {
            throw rule.schema()
                    .invalid(
                            "it is within more than %d choices, or leads back to itself without an object or array between"
                                    .formatted(MAX_NESTED_CHOICES));
        }
        return depth;
    }

    private Set<String> finiteRules() {
        Set<String> finite = new HashSet<>();
        boolean grown = true;
        while (grown) {
            grown = false;
            for (Map.Entry<String, Rule> rule : rules.entrySet()) {
                if (rule.getValue().ways().stream().anyMatch(finite::containsAll)) {
                    grown |= finite.add(rule.getKey());
                }
            }
        }
        return finite;
    }
}
