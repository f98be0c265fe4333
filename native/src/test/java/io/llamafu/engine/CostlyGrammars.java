package io.llamafu.engine;

import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Short grammars that llama.cpp would take forever to read, or more stack or memory than there is. */
public final class CostlyGrammars {
    private CostlyGrammars() {}

    public static List<String> all() {
        return List.of(
                // twice as many paths with each rule
                rules(41, i -> "r%d \"a\" | r%d \"b\"".formatted(i + 1, i + 1)),
                rules(41, i -> "[] r%d \"a\" | [] r%d \"b\"".formatted(i + 1, i + 1)),
                // the same after a character, so the answer starts well
                "root ::= \"x\" r0\n"
                        + rules(41, i -> "r%d \"a\" | r%d \"b\"".formatted(i + 1, i + 1))
                                .substring(13),
                // repetitions of something that may be empty
                rules(5, i -> "r%d{0,2000}".formatted(i + 1)),
                rules(5, i -> "(r%d? \"a\"?){2000}".formatted(i + 1)),
                "root ::= (\"a\"? \"b\"? \"c\"?){0,2000}",
                // chains, forwards and backwards
                rules(10_000, i -> "r%d".formatted(i + 1)),
                rules(10_000, i -> "r%d?".formatted(i + 1)),
                IntStream.range(0, 10_000)
                        .map(i -> 9_999 - i)
                        .mapToObj(i -> "r%d ::= r%d".formatted(i, i + 1))
                        .collect(Collectors.joining("\n", "root ::= r0\n", "\nr10000 ::= \"x\"\n")),
                "root ::= " + "a? ".repeat(100_000) + "\na ::= \"x\"",
                // more than it seems when expanded
                "root ::= \"%s\"{2000}".formatted("x".repeat(100_000)),
                "root ::= [%s]{0,2000}".formatted("x".repeat(100_000)),
                "root ::= %s".formatted("[a-z]{0,2000} ".repeat(500)),
                "%s ::= \"x\"{0,2000}\nroot ::= \"x\"".formatted("n".repeat(100_000)),
                "root ::= \"x\"{5,3}",
                // parentheses that close only in a text
                "root ::= " + "(\")\" ".repeat(50_000),
                // a character that no text can contain
                "root ::= \"a\" \"\\x00\"",
                "root ::= \"\\ud800\"",
                "root ::= \"\\UFFFFFFFF\"");
    }

    /** Rules r0 to rN with the body from the function, and one more that is a letter. */
    private static String rules(int count, IntFunction<String> body) {
        return IntStream.range(0, count)
                .mapToObj(i -> "r%d ::= %s".formatted(i, body.apply(i)))
                .collect(Collectors.joining("\n", "root ::= r0\n", "\nr%d ::= \"x\"\n".formatted(count)));
    }
}
