package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import static org.assertj.core.api.Assertions.assertThat;
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
        assertThatCode(() -> GrammarSyntax.check(grammar)).doesNotThrowAnyException();
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
        assertThatThrownBy(() -> GrammarSyntax.check(grammar))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_GRAMMAR));
    }
}
