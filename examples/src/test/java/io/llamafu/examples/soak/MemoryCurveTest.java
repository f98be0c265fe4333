package io.llamafu.examples.soak;

import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class MemoryCurveTest {
    private static final long MEBIBYTE = 1024 * 1024;
    private static final Duration HALF_AN_HOUR = Duration.ofMinutes(30);

    private final MemoryCurve memory = new MemoryCurve();

    @Test
    void growthInTheWarmUpDoesNotCount() {
        sample("a", 0, 10, 100, 1_000);
        sample("a", 10, 30, 1_000, 1_000);

        assertThat(memory.growth("a", HALF_AN_HOUR)).hasValueCloseTo(0.0, within(0.001));
        assertThat(memory.minutes("a").get(15L)).isEqualTo(1_000);
    }

    @Test
    void growthAfterTheWarmUpCounts() {
        sample("a", 0, 30, 1_000, 1_300);

        assertThat(memory.growth("a", HALF_AN_HOUR).getAsDouble()).isGreaterThan(MemoryCurve.MOST_GROWTH);
    }

    @Test
    void shortRunsAreNotJudged() {
        sample("a", 0, 2, 100, 1_000);

        assertThat(memory.growth("a", Duration.ofMinutes(2))).isEmpty();
        assertThat(memory.growthOfSameAge("b")).isEmpty();
    }

    @Test
    void taskManagersAreComparedAtTheSameAge() {
        sample("throughout", 0, 30, 5_000, 9_000);
        for (int start : List.of(4, 12, 16, 20, 24)) {
            sample("from-" + start, start, start + 3, 1_000, 1_100);
        }

        assertThat(memory.sameAge("throughout")).hasSize(5).doesNotContainKey("throughout");
        assertThat(memory.growthOfSameAge("throughout")).hasValueCloseTo(0.0, within(0.001));
        sample("from-28", 28, 30, 2_000, 2_000);
        assertThat(memory.growthOfSameAge("throughout").getAsDouble()).isGreaterThan(MemoryCurve.MOST_GROWTH);
        assertThat(memory.sameAge("throughout")).containsAllEntriesOf(Map.of("from-28", 2_000L));
    }

    /** A sample each second, of memory that grows steadily. */
    private void sample(String taskManager, int fromMinute, int toMinute, long fromMib, long toMib) {
        int seconds = (toMinute - fromMinute) * 60;
        for (int second = 0; second < seconds; second++) {
            long mebibytes = fromMib + (toMib - fromMib) * second / seconds;
            memory.add(
                    taskManager,
                    Duration.ofMinutes(fromMinute).plusSeconds(second),
                    Duration.ofSeconds(second),
                    mebibytes * MEBIBYTE);
        }
    }
}
