package io.llamafu.examples.soak;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Broken promises, with the first observations of each. */
final class Findings {
    private static final int KEPT = 5;

    private final Map<Promise, Long> counts = new EnumMap<>(Promise.class);
    private final Map<Promise, List<String>> evidence = new EnumMap<>(Promise.class);

    void broken(Promise promise, String what) {
        counts.merge(promise, 1L, Long::sum);
        List<String> kept = evidence.computeIfAbsent(promise, unused -> new ArrayList<>());
        if (kept.size() < KEPT) {
            kept.add(what);
        }
    }

    long count(Promise promise) {
        return counts.getOrDefault(promise, 0L);
    }

    boolean isEmpty() {
        return counts.isEmpty();
    }

    /** The number of breaches by promise. */
    Map<Promise, Long> counts() {
        return Collections.unmodifiableMap(counts);
    }

    /** The first observations. */
    List<String> evidence(Promise promise) {
        return evidence.getOrDefault(promise, List.of());
    }
}
