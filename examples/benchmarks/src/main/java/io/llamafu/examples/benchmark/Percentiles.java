package io.llamafu.examples.benchmark;

import java.util.Collection;
import java.util.Locale;

/** Percentiles of a series of measurements. */
record Percentiles(double median, double p99, double max) {
    static Percentiles of(Collection<Double> values) {
        double[] sorted =
                values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        if (sorted.length == 0) {
            throw new IllegalArgumentException("Nothing was measured.");
        }
        return new Percentiles(at(sorted, 0.5), at(sorted, 0.99), sorted[sorted.length - 1]);
    }

    /** The smallest value that at least this share of all does not exceed. */
    private static double at(double[] sorted, double share) {
        return sorted[(int) Math.ceil(share * sorted.length) - 1];
    }

    /** The cells of a table after the first. */
    String markdown() {
        return String.format(Locale.ROOT, "| %.1f | %.1f | %.1f |", median, p99, max);
    }
}
