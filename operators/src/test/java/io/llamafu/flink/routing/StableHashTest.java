package io.llamafu.flink.routing;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.assertj.core.api.Assertions.assertThat;

class StableHashTest {

    /** These must never change, or replayed records would take other variants. */
    @ParameterizedTest
    @CsvSource({
        "'', -1166397803181037274",
        "1, 8950960187928269782",
        "record-1, -145653754266943550",
        "M\u00fcller, -8963875871627328003",
    })
    void valuesAreTheSameInEveryVersion(String text, long hash) {
        assertThat(StableHash.of(text)).isEqualTo(hash);
    }
}
