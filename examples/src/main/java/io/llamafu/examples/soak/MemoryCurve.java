package io.llamafu.examples.soak;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * The resident memory of the TaskManagers. Every process grows for a while after its start, so like is compared with
 * like: the surviving TaskManager with itself after a warm-up, and the killed ones with each other at the same age.
 */
final class MemoryCurve {
    /** Time for the heap to be touched, classes to be compiled, and caches and pools to fill. */
    static final Duration WARM_UP = Duration.ofMinutes(10);
    /** Shorter runs leave too little time after the warm-up. */
    static final Duration SHORTEST_JUDGED = Duration.ofMinutes(20);
    /** The greatest growth from the first to the last quarter of the time after the warm-up. */
    static final double MOST_GROWTH = 0.05;

    /** The age at which killed TaskManagers are compared. */
    private static final Duration COMPARED_AGE_FROM = Duration.ofSeconds(60);

    private static final Duration COMPARED_AGE_TO = Duration.ofSeconds(110);
    private static final int FEWEST_COMPARED = 4;
    private static final int PARTS = 4;
    private static final long MEBIBYTE = 1024 * 1024;

    private record Sample(Duration time, Duration age, long bytes) {}

    private final Map<String, List<Sample>> byTaskManager = new LinkedHashMap<>();

    /**
     * Takes a sample.
     *
     * @param time since the first record was sent
     * @param age of the process
     */
    void add(String taskManager, Duration time, Duration age, long bytes) {
        byTaskManager.computeIfAbsent(taskManager, unused -> new ArrayList<>()).add(new Sample(time, age, bytes));
    }

    /** The medians of a TaskManager by minute, in MiB; empty if there is none of that name. */
    SortedMap<Long, Long> minutes(String taskManager) {
        SortedMap<Long, List<Long>> byMinute = new TreeMap<>();
        for (Sample sample : byTaskManager.getOrDefault(taskManager, List.of())) {
            byMinute.computeIfAbsent(sample.time().toMinutes(), unused -> new ArrayList<>())
                    .add(sample.bytes());
        }
        SortedMap<Long, Long> medians = new TreeMap<>();
        byMinute.forEach((minute, bytes) -> medians.put(minute, Math.round(median(bytes) / MEBIBYTE)));
        return medians;
    }

    /** The median of every other TaskManager at the age of 60 to 110 seconds, in MiB, in the order of their start. */
    Map<String, Long> sameAge(String except) {
        Map<String, Long> medians = new LinkedHashMap<>();
        sameAgeBytes(except, Duration.ZERO)
                .forEach((taskManager, bytes) -> medians.put(taskManager, Math.round(bytes / MEBIBYTE)));
        return medians;
    }

    private Map<String, Double> sameAgeBytes(String except, Duration startedAfter) {
        Map<String, Double> medians = new LinkedHashMap<>();
        byTaskManager.forEach((taskManager, samples) -> {
            Sample first = samples.get(0);
            List<Long> bytes = bytes(
                    samples,
                    sample -> sample.age().compareTo(COMPARED_AGE_FROM) >= 0
                            && sample.age().compareTo(COMPARED_AGE_TO) < 0);
            boolean counts = first.time().minus(first.age()).compareTo(startedAfter) >= 0 || startedAfter.isZero();
            if (!taskManager.equals(except) && counts && !bytes.isEmpty()) {
                medians.put(taskManager, median(bytes));
            }
        });
        return medians;
    }

    /** The growth of a TaskManager's memory, 0.01 for one percent; empty if it cannot be judged. */
    OptionalDouble growth(String taskManager, Duration end) {
        if (end.compareTo(SHORTEST_JUDGED) < 0) {
            return OptionalDouble.empty();
        }
        Duration part = end.minus(WARM_UP).dividedBy(PARTS);
        List<Sample> samples = byTaskManager.getOrDefault(taskManager, List.of());
        List<Long> first = bytes(
                samples,
                sample -> sample.time().compareTo(WARM_UP) >= 0 && sample.time().compareTo(WARM_UP.plus(part)) < 0);
        List<Long> last = bytes(
                samples,
                sample -> sample.time().compareTo(end.minus(part)) >= 0
                        && sample.time().compareTo(end) < 0);
        return first.isEmpty() || last.isEmpty()
                ? OptionalDouble.empty()
                : OptionalDouble.of(median(last) / median(first) - 1);
    }

    /** The growth from the earliest to the latest of the TaskManagers started after the warm-up. */
    OptionalDouble growthOfSameAge(String except) {
        List<Double> medians = List.copyOf(sameAgeBytes(except, WARM_UP).values());
        if (medians.size() < FEWEST_COMPARED) {
            return OptionalDouble.empty();
        }
        int half = medians.size() / 2;
        double early = mean(medians.subList(0, half));
        double late = mean(medians.subList(medians.size() - half, medians.size()));
        return OptionalDouble.of(late / early - 1);
    }

    private static List<Long> bytes(List<Sample> samples, Predicate<Sample> chosen) {
        return samples.stream().filter(chosen).map(Sample::bytes).toList();
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    }

    private static double median(List<Long> values) {
        List<Long> sorted = values.stream().sorted().toList();
        int middle = sorted.size() / 2;
        return sorted.size() % 2 == 1 ? sorted.get(middle) : (sorted.get(middle - 1) + sorted.get(middle)) / 2.0;
    }
}
