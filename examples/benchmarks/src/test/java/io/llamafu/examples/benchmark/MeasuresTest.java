package io.llamafu.examples.benchmark;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class MeasuresTest {
    @Test
    void percentilesAreMeasuredValues() {
        Percentiles hundred = Percentiles.of(
                DoubleStream.iterate(100, value -> value - 1).limit(100).boxed().toList());

        assertThat(hundred).isEqualTo(new Percentiles(50, 99, 100));
        assertThat(Percentiles.of(List.of(7.0))).isEqualTo(new Percentiles(7, 7, 7));
        assertThat(hundred.markdown()).isEqualTo("| 50.0 | 99.0 | 100.0 |");
        assertThatThrownBy(() -> Percentiles.of(List.of())).hasMessageContaining("Nothing was measured");
    }

    @Test
    void zipfDrawsTheFirstTwiceAsOftenAsTheSecond() {
        Zipf zipf = new Zipf(256, 1, new SplittableRandom(5));
        int[] counts = new int[256];
        IntStream.range(0, 100_000).forEach(draw -> counts[zipf.next()]++);

        assertThat(counts[0] / (double) counts[1]).isBetween(1.8, 2.2);
        // the first 32 of 256: 4.06 / 6.12
        assertThat(IntStream.range(0, 32).map(number -> counts[number]).sum()).isBetween(64_000, 69_000);
    }
}
