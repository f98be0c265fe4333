package io.llamafu.flink.routing;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class KeyPatternTest {

    @ParameterizedTest
    @CsvSource({
        "tenant, tenant, true",
        "tenant, tenant-1, false",
        "tenant, tenan, false",
        "tenant-*, tenant-1, true",
        "tenant-*, tenant-, true",
        "tenant-*, tenant, false",
        "*, '', true",
        "'', '', true",
        "'', a, false",
        "?, a, true",
        "?, '', false",
        "?, ab, false",
        "*-gold, emea-gold, true",
        "*-gold, emea-golden, false",
        "eu-*-gold, eu-west-1-gold, true",
        "eu-*-gold, eu-gold, false",
        "*a*b*, xxaxxbxx, true",
        "*a*b*, xxbxxaxx, false",
        "*ab, aab, true",
        "a.c, abc, false",
        "a\\*c, a*c, true",
        "a\\*c, abc, false",
        "a\\?, a?, true",
        "a\\\\, a\\, true",
        "a\\, a\\, true",
    })
    void matches(String pattern, String key, boolean expected) {
        assertThat(KeyPattern.of(pattern).matches(key)).isEqualTo(expected);
    }

    /** A backtracking matcher would take longer than the age of the universe. */
    @Test
    void manyStarsTakeNoTime() {
        assertThat(KeyPattern.of("*a".repeat(50) + "b").matches("a".repeat(2000)))
                .isFalse();
    }

    @ParameterizedTest
    @CsvSource({
        "?, \uD83D\uDE00, true",
        "??, \uD83D\uDE00, false",
        "a?c, a\uD83D\uDE00c, true",
        "*?, \uD83D\uDE00, true",
        "*\uD83D\uDE00, \uD83D\uDE00\uD83D\uDE00, true",
        "\uD83D\uDE00?, \uD83D\uDE00\uD83D\uDE01, true",
        "\uD83D\uDE00, \uD83D\uDE01, false",
    })
    void questionMarkIsOneCharacterAnEmojiIncluded(String pattern, String key, boolean expected) {
        assertThat(KeyPattern.of(pattern).matches(key)).isEqualTo(expected);
    }

    /** The longest possible, in the worst case: the steps are the product of their lengths. */
    @Test
    @Timeout(60)
    void longestPatternAndKeyTakeNoSeconds() {
        KeyPattern pattern = KeyPattern.of("*" + "a".repeat(KeyPattern.LONGEST - 2) + "b");
        for (int i = 0; i < 10; i++) {
            assertThat(pattern.matches("a".repeat(KeyPattern.LONGEST_KEY))).isFalse();
        }
    }
}
