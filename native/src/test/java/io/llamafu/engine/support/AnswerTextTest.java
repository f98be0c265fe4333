package io.llamafu.engine.support;

import org.junit.jupiter.api.Test;

import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

class AnswerTextTest {

    @Test
    void incompleteCharacterIsLeftOut() {
        byte[] bytes = "aé漢😀".getBytes(UTF_8);
        AnswerText answer = new AnswerText(List.of());
        StringBuilder seen = new StringBuilder();
        for (int i = 0; i < bytes.length; i++) {
            answer.append(bytes, i, 1);
            seen.append(answer).append('|');
        }
        assertThat(seen).hasToString("a|a|aé|aé|aé|aé漢|aé漢|aé漢|aé漢|aé漢😀|");
    }

    @Test
    void impossibleBytesAreReplaced() {
        AnswerText answer = new AnswerText(List.of());
        answer.append(new byte[] {'a', (byte) 0x80, 'b', (byte) 0xff}, 0, 4);

        assertThat(answer).hasToString("a\uFFFDb\uFFFD");
    }

    @Test
    void stopStringIsFoundAcrossAppends() {
        AnswerText answer = new AnswerText(List.of("END", "漢字"));
        byte[] bytes = "one EN two 漢".getBytes(UTF_8);
        for (int i = 0; i < bytes.length; i++) {
            answer.append(bytes, i, 1);
        }
        assertThat(answer.stopped()).isFalse();

        byte[] rest = "字 three".getBytes(UTF_8);
        for (int i = 0; i < rest.length; i++) {
            answer.append(rest, i, 1);
        }
        assertThat(answer.stopped()).isTrue();
        assertThat(answer).hasToString("one EN two ");
    }

    @Test
    void stopStringThatEndsFirstCountsAndOfThoseTheLongest() {
        assertThat(cut("xxabyy", List.of("b", "ab"))).containsExactly("xx");
        assertThat(cut("xabcdy", List.of("abcd", "bc"))).containsExactly("xa");
        assertThat(cut("xabcdy", List.of("abcd", "bc", "abc"))).containsExactly("x");
        assertThat(cut("aaab", List.of("aab", "aa"))).containsExactly("");
        assertThat(cut("a漢字b", List.of("漢字b", "字"))).containsExactly("a漢");
        assertThat(cut("one", List.of("two", "e", "net"))).containsExactly("on");
        assertThat(cut("EN", List.of("END"))).containsExactly("EN");
    }

    @Test
    void answerDoesNotDependOnTheBordersOfTokens() {
        Random random = new Random(30);
        for (int round = 0; round < 300; round++) {
            String text = random(random, 1 + random.nextInt(8));
            List<String> stops = Stream.generate(() -> random(random, 1 + random.nextInt(4)))
                    .limit(1 + random.nextInt(4))
                    .toList();
            assertThat(cut(text, stops))
                    .as("'%s' with the stop strings %s", text, stops)
                    .hasSize(1);
        }
    }

    private static String random(Random random, int length) {
        return random.ints(length, 0, 3).mapToObj(List.of("a", "b", "é")::get).collect(Collectors.joining());
    }

    /** The answers of a text that is appended in tokens, over all ways to split its bytes. */
    private static Set<String> cut(String text, List<String> stops) {
        byte[] bytes = text.getBytes(UTF_8);
        Set<String> answers = new HashSet<>();
        for (int borders = 0; borders < 1 << (bytes.length - 1); borders++) {
            AnswerText answer = new AnswerText(stops);
            int from = 0;
            for (int to = 1; to <= bytes.length; to++) {
                if (to == bytes.length || (borders >> (to - 1) & 1) == 1) {
                    answer.append(bytes, from, to - from);
                    from = to;
                }
            }
            answers.add(answer.toString());
        }
        return answers;
    }
}
