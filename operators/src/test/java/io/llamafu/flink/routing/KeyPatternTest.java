package io.llamafu.flink.routing;

import org.junit.jupiter.api.Test;
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
        assertThat(KeyPattern.matches(pattern, key)).isEqualTo(expected);
    }

    /** A backtracking matcher would take longer than the universe is old. */
    @Test
    void manyStarsTakeNoTime() {
        assertThat(KeyPattern.matches("*a".repeat(50) + "b", "a".repeat(2000))).isFalse();
    }
}
