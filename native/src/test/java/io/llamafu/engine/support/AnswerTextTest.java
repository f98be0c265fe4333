package io.llamafu.engine.support;

import org.junit.jupiter.api.Test;

import java.util.List;

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
    void firstOfSeveralStopStringsInOneTokenCounts() {
        AnswerText answer = new AnswerText(List.of("b", "ab"));
        byte[] bytes = "xxabyy".getBytes(UTF_8);
        answer.append(bytes, 0, bytes.length);

        assertThat(answer).hasToString("xx");
    }
}
