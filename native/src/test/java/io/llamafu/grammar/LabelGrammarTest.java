package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

class LabelGrammarTest {
    static Stream<List<String>> labels() {
        return Stream.of(
                List.of("yes"),
                List.of("yes", "no", "yes"),
                List.of("a", "ab", "abc", "abd", "b", "aaaa", "aa"),
                List.of("\"quoted\"", "\"", "\\", "\\\\", "a\\n", "a\n", "a\r\nb", "tab\t", "\u0001\u007f"),
                List.of("ünï", "ü", "漢字", "漢", "😀", "😀😁", "😁", "🇩🇪", "\uFFFF", "مرحبا"),
                List.of(" ", "  ", " x", "x ", "(", "((", ")", "[a]", "{2}", "|", "#", "root", "::=", "'", "-", "^"),
                IntStream.range(0, 1000).mapToObj(i -> "label " + i).toList(),
                IntStream.range(1, 400).mapToObj("("::repeat).toList());
    }

    @ParameterizedTest
    @MethodSource("labels")
    void allowsTheLabelsAndNothingElse(List<String> labels) {
        String gbnf = LabelGrammar.of(labels);

        assertThatCode(() -> GrammarSyntax.check(gbnf, GrammarSyntax.Version.B4916))
                .doesNotThrowAnyException();
        ParsedGrammar grammar = ParsedGrammar.parse(gbnf);
        for (String label : labels) {
            assertThat(grammar.follows(label)).as(label).isTrue();
            for (String other : List.of("x" + label, label + "x", label.substring(1), label + label)) {
                assertThat(grammar.follows(other)).as(other).isEqualTo(labels.contains(other));
            }
        }
        Random random = new Random(3);
        for (int i = 0; i < 200; i++) {
            assertThat(labels).contains(grammar.random(random));
        }
    }

    @Test
    void alternativesNeverBeginAlike() {
        List<String> labels =
                IntStream.range(0, 1000).mapToObj(i -> "label " + i).toList();

        String root = LabelGrammar.of(labels).lines().findFirst().orElseThrow();

        assertThat(root).isEqualTo("root ::= \"label \" root-1");
    }

    @Test
    void orderAndDuplicatesDoNotMatter() {
        List<String> labels = List.of("b", "a", "ab");
        List<String> shuffled = new ArrayList<>(labels);
        shuffled.addAll(labels);
        Collections.reverse(shuffled);

        assertThat(LabelGrammar.of(shuffled)).isEqualTo(LabelGrammar.of(labels));
    }

    @Test
    void largestListsAreWithinTheLimitsOfGrammars() {
        List<String> many = IntStream.range(0, LabelGrammar.MAX_LABELS)
                .mapToObj(i -> new StringBuilder(Integer.toString(i, 36)).reverse() + "()")
                .toList();
        List<String> parentheses =
                List.of("(".repeat(LabelGrammar.MAX_CHARACTERS / 2), ")".repeat(LabelGrammar.MAX_CHARACTERS / 2));

        assertThatCode(() -> GrammarSyntax.check(LabelGrammar.of(many), GrammarSyntax.Version.B4916))
                .doesNotThrowAnyException();
        assertThatCode(() -> GrammarSyntax.check(LabelGrammar.of(parentheses), GrammarSyntax.Version.B4916))
                .doesNotThrowAnyException();
    }

    @Test
    void badLabelsAreNamed() {
        assertRefused(ErrorCode.INVALID_REQUEST, List.of(), "no labels");
        assertRefused(ErrorCode.INVALID_REQUEST, Arrays.asList("a", null), "Label 2 of 2 is null");
        assertRefused(ErrorCode.INVALID_REQUEST, List.of("", "a"), "Label 1 of 2 is empty");
        assertRefused(ErrorCode.INVALID_REQUEST, List.of("a", "b\0c"), "Label 2", "NUL");
        assertRefused(ErrorCode.INVALID_TEXT, List.of("a", "bad \uD83D!"), "Label 2, 'bad \uD83D!'", "index 4");
        assertRefused(ErrorCode.INVALID_REQUEST, Collections.nCopies(10_001, "a"), "10001 labels", "10000");
        assertRefused(ErrorCode.INVALID_REQUEST, List.of("a".repeat(100_001)), "100001 characters", "100000");
    }

    private static void assertRefused(ErrorCode code, List<String> labels, String... messages) {
        assertFails(() -> LabelGrammar.of(labels), code, messages);
    }

    @Test
    void tokensThatAreEnoughCountBytes() {
        assertThat(LabelGrammar.maxTokens(List.of("abc", "漢字"))).isEqualTo(7);
    }
}
