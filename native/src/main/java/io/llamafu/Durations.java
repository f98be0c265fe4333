package io.llamafu;

import java.time.Duration;

/** Durations that users set, such as timeouts. */
public final class Durations {
    /** A hundred years: as good as forever, while nanoseconds beyond 292 years overflow. */
    private static final Duration LONGEST = Duration.ofDays(36_500);

    private Durations() {}

    /** The duration, but at most a hundred years in either direction: it can be counted in nanoseconds and added to a time. */
    public static Duration countable(Duration duration) {
        Duration atMost = duration.compareTo(LONGEST) < 0 ? duration : LONGEST;
        return atMost.compareTo(LONGEST.negated()) > 0 ? atMost : LONGEST.negated();
    }
}
