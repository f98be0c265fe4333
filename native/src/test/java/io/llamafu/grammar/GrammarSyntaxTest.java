package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class GrammarSyntaxTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "root ::= \"yes\" | \"no\"",
                "root ::= \"\"",
                "  # a comment\nroot ::= item+ # another\n\nitem ::= [a-z]* \"\\n\" | [^\\]\\x41-\\u00ff]{2,3}\n",
                "root ::= (\n  \"a\" |\n \"b\" root)? .{0,}",
                "root ::= \"{\\\"urgent\\\": \" (\"true\" | \"false\") \", \\\"n\\\": \" [0-9] [0-9] \"}\"",
                "root ::= \"漢😀\" [-a] [a-]{3}",
                "root ::= [^\"\\\\\\x7F\\x00-\\x1F]* [\\x00-\\x7f] [\\n] [^\\U00010000-\\U0010ffff]",
                "root ::= a\r\na ::= \"x\" a | \"\\U0001F600\"",
            })
    void whatLlamaCppParsesIsAccepted(String grammar) {
        assertThatCode(() -> GrammarSyntax.check(grammar, GrammarSyntax.Version.B4916))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "root ::= <[3]> !<[4]> \"a\\-b\"",
                "root ::= <|im_end|>",
            })
    void whatOnlyTheNewerLlamaCppKnowsIsAcceptedForIt(String grammar) {
        assertThatCode(() -> GrammarSyntax.check(grammar, GrammarSyntax.Version.V0_5_0))
                .doesNotThrowAnyException();
        assertThatThrownBy(() -> GrammarSyntax.check(grammar, GrammarSyntax.Version.B4916))
                .isInstanceOf(LlamafuException.class);
    }

    @Test
    void whatIsLargeButCheapIsAccepted() {
        String labels = IntStream.range(0, 4000)
                .mapToObj("\"label %d\""::formatted)
                .collect(Collectors.joining(" | ", "root ::= ", ""));
        String optionals = IntStream.range(0, 1000)
                .mapToObj(i -> "r%d ::= \"%d\" (\",\" r%d)? | r%d".formatted(i, i, i + 1, i + 1))
                .collect(Collectors.joining("\n", "root ::= r0\n", "\nr1000 ::= \"x\"\n"));
        String repetitions = "root ::= " + "[a-z]{0,2000} \",\" ".repeat(40);
        String nested = "root ::= " + "(".repeat(200) + "\"a\"" + ")".repeat(200);
        String recursive = "root ::= value\nvalue ::= \"[\" (value (\",\" value)*)? \"]\" | [0-9]+ | \"(((\"\n";

        for (String grammar : List.of(labels, optionals, repetitions, nested, recursive)) {
            assertThatCode(() -> GrammarSyntax.check(grammar, GrammarSyntax.Version.B4916))
                    .doesNotThrowAnyException();
        }
    }

    @ParameterizedTest
    @MethodSource("io.llamafu.engine.CostlyGrammars#all")
    void whatWouldTakeTooMuchWorkIsRefused(String grammar) {
        for (GrammarSyntax.Version version : GrammarSyntax.Version.values()) {
            assertFails(() -> GrammarSyntax.check(grammar, version), ErrorCode.INVALID_GRAMMAR);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "   ",
                "root",
                "root ::= (",
                "root ::= \"open",
                "root ::= [open",
                "root ::= \"a\" )",
                "root ::= *",
                "root ::= \"\" *",
                "root ::= \"a\"{}",
                "root ::= \"a\"{1,2",
                "root ::= \"a\"{3000}",
                "root ::= \"\\q\"",
                "root ::= \"\\x4\"",
                "root ::= missing",
                "other ::= \"x\"",
                "root ::= root \"a\"",
                "root ::= \"a\"? b\nb ::= root",
                "root ::= (\"a\"?)*",
                "root ::= a_b",
                "root ::= \"a\" \"\\x00\"",
                "root ::= \"a\" [\\x00]",
                "root ::= \"a\" []",
                "root ::= [z-a]",
                "root ::= \"\\ud83d\" | [\\ud800-\\udfff]",
                "root ::= [\\ud800-\\udfff]",
                "root ::= \"\\U00110000\"",
                "root ::= [^\\x01-\\ud7ff\\ue000-\\U0010ffff]",
            })
    void whatLlamaCppRefusesIsRefused(String grammar) {
        assertFails(() -> GrammarSyntax.check(grammar, GrammarSyntax.Version.B4916), ErrorCode.INVALID_GRAMMAR);
    }
}
