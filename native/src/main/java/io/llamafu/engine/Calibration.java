package io.llamafu.engine;

import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * Fits the calibration temperature of a {@link LabelChoice} to records whose label is known, so that of the answers with a
 * probability of 0.8, four in five are right.
 *
 * <p>The temperature T, from 0.05 to 20, is the one that makes the known labels likeliest: it minimizes the sum of
 * -log q(known), where q(label) is p(label)^(1/T), normalized over the labels (Guo et al., On Calibration of Modern Neural
 * Networks, 2017). The sum is convex in 1/T. It is computed at a grid of temperatures, so that the figures of records add up,
 * and the minimum is that of the parabola through the three points around it.
 */
public final class Calibration {
    private static final double LEAST = 0.05;
    private static final double MOST = 20;
    private static final int POINTS = 121;
    /** A label that underflows to 0 counts as this. */
    private static final double LEAST_PROBABILITY = Double.MIN_NORMAL;

    private Calibration() {}

    /**
     * The losses of a record, one for each temperature of the grid. Those of several records add up, element by element.
     *
     * @param probabilities those of {@link LabelScores#probabilities()}
     * @param known the index of the true label among them
     */
    public static double[] losses(List<Double> probabilities, int known) {
        if (known < 0 || known >= probabilities.size()) {
            throw new IllegalArgumentException(
                    "The known label is %d, but there are %d labels.".formatted(known, probabilities.size()));
        }
        double[] logarithms = probabilities.stream()
                .mapToDouble(probability -> Math.log(Math.max(probability, LEAST_PROBABILITY)))
                .toArray();
        double largest = DoubleStream.of(logarithms).max().orElseThrow();
        double[] losses = new double[POINTS];
        for (int point = 0; point < POINTS; point++) {
            double inverse = 1 / temperatureAt(point);
            double sum = 0;
            for (double logarithm : logarithms) {
                sum += Math.exp((logarithm - largest) * inverse);
            }
            losses[point] = (largest - logarithms[known]) * inverse + Math.log(sum);
        }
        return losses;
    }

    /**
     * The temperature with the least loss; 1 for no record. If the probabilities already had a temperature, the product of both is
     * the one to set.
     *
     * @param losses the sums of {@link #losses} over all records
     */
    public static double temperature(double[] losses) {
        if (losses.length != POINTS) {
            throw new IllegalArgumentException(
                    "There are %d losses, and not %d as in those of a record.".formatted(losses.length, POINTS));
        }
        int least = IntStream.range(0, POINTS)
                .reduce((one, other) -> losses[other] < losses[one] ? other : one)
                .orElseThrow();
        boolean flat = losses[0] == losses[least] && losses[POINTS - 1] == losses[least];
        if (flat) {
            return 1;
        }
        if (least == 0 || least == POINTS - 1) {
            return temperatureAt(least);
        }
        double before = losses[least - 1] - losses[least];
        double after = losses[least + 1] - losses[least];
        double shift = before + after == 0 ? 0 : (before - after) / (2 * (before + after));
        return temperatureAt(least + shift);
    }

    private static double temperatureAt(double point) {
        return LEAST * Math.pow(MOST / LEAST, point / (POINTS - 1));
    }
}
