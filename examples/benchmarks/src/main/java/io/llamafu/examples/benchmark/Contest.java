package io.llamafu.examples.benchmark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Measures entries in turn, round after round, so that other load on the machine affects all of them. The result is the
 * median of the rounds.
 */
final class Contest {
    /** One measurement; the seed differs in each round. */
    @FunctionalInterface
    interface Run {
        Workload.Speed measure(long seed) throws Exception;
    }

    /** A discarded round, in which pages are read, adapters loaded and code compiled. */
    private final Map<String, Run> warmUps = new LinkedHashMap<>();

    private final Map<String, Run> entries = new LinkedHashMap<>();

    void add(String name, Competitor competitor, Workload workload) {
        add(name, seed -> workload.withTokens(2).measure(competitor, seed), seed -> workload.measure(competitor, seed));
    }

    void add(String name, Run warmUp, Run run) {
        warmUps.put(name, warmUp);
        entries.put(name, run);
    }

    /** The medians of each entry. */
    Map<String, Workload.Speed> run(int rounds) throws Exception {
        long seed = 1;
        for (Map.Entry<String, Run> entry : warmUps.entrySet()) {
            System.err.printf(Locale.ROOT, "warm-up         %s%n", entry.getKey());
            entry.getValue().measure(seed++);
        }
        Map<String, List<Workload.Speed>> speeds = new LinkedHashMap<>();
        for (int round = 1; round <= rounds; round++) {
            for (Map.Entry<String, Run> entry : entries.entrySet()) {
                Workload.Speed speed = entry.getValue().measure(seed++);
                System.err.printf(
                        Locale.ROOT,
                        "round %2d of %2d  %-40s prefill %8.1f tokens/s, decode %7.1f tokens/s%n",
                        round,
                        rounds,
                        entry.getKey(),
                        speed.prefill(),
                        speed.decode());
                speeds.computeIfAbsent(entry.getKey(), name -> new ArrayList<>())
                        .add(speed);
            }
        }
        Map<String, Workload.Speed> medians = new LinkedHashMap<>();
        speeds.forEach((name, list) -> medians.put(
                name,
                new Workload.Speed(
                        median(list.stream()
                                .mapToDouble(Workload.Speed::prefill)
                                .toArray()),
                        median(list.stream().mapToDouble(Workload.Speed::decode).toArray()))));
        return medians;
    }

    static double median(double... values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
