package io.llamafu.examples.soak;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Grammars that are extremely deep, large or ambiguous. */
final class HostileGrammars {
    static final List<String> ALL = List.of(
            "root ::= " + "(".repeat(10_000) + "\"a\"" + ")".repeat(10_000),
            chainOfRules(10_000),
            doublingRules(41),
            manyRepetitions(5, 2_000),
            "root ::= ((([a-z]{0,100}){0,100}){0,100}){0,100}",
            "root ::= \"a\"{0,2147483647}",
            ambiguousMembers(),
            "root ::= root \"a\" | root",
            "root ::= (((([a-z ]*)*)*)*)*",
            "root ::= other",
            "root ::= \"",
            "root ::= [",
            "root ::= \"a\" \"\\x00\"",
            "root ::= [\\U0010FFFF-\\u0001]",
            "",
            "no grammar at all",
            "root ::= " + "\"ab\" | ".repeat(50_000) + "\"c\"");

    private HostileGrammars() {}

    private static String chainOfRules(int rules) {
        return "root ::= r0\n"
                + IntStream.range(0, rules)
                        .mapToObj(rule -> "r%d ::= r%d".formatted(rule, rule + 1))
                        .collect(Collectors.joining("\n"))
                + "\nr%d ::= \"a\"".formatted(rules);
    }

    /** Each rule refers to the next one twice. */
    private static String doublingRules(int levels) {
        return "root ::= r0\n"
                + IntStream.range(0, levels)
                        .mapToObj(level -> "r%d ::= r%d \"a\" | r%d \"b\"".formatted(level, level + 1, level + 1))
                        .collect(Collectors.joining("\n"))
                + "\nr%d ::= \"a\"".formatted(levels);
    }

    private static String manyRepetitions(int lines, int times) {
        return IntStream.range(0, lines)
                        .mapToObj(line -> "x%d ::= %s{0,%d}"
                                .formatted(line, line + 1 < lines ? "x" + (line + 1) : "[a-z ]", times))
                        .collect(Collectors.joining("\n"))
                + "\nroot ::= x0";
    }

    /** Two alternatives begin with the same recursive member, so the alternatives to follow double with each token. */
    private static String ambiguousMembers() {
        return """
                root ::= text
                text ::= character text "x" | character text "y" | character
                character ::= [a-zA-Z ;.,]
                """;
    }
}
