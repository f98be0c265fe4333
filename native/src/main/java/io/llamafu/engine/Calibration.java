package io.llamafu.engine;

import java.util.List;

/**
 * Fits the calibration temperature of a {@link LabelChoice} to records whose label is known, so that of the answers with a
 * probability of 0.8, four in five are right.
 */
public final class Calibration {
    private static final double LEAST = 0.05;
    private static final double MOST = 20;
    private static final int ITERATIONS = 60;
    private static final double GOLDEN = (Math.sqrt(5) - 1) / 2;
    /** A label that underflows to 0 counts as this, as otherwise one record would decide everything. */
    private static final double LEAST_PROBABILITY = 1e-12;

    private Calibration() {}

    /**
     * A record whose label is known.
     *
     * @param probabilities those of {@link LabelScores#probabilities()} with a calibration of 1
     * @param known the index of the true label among them
     */
    public record Observation(List<Double> probabilities, int known) {
        public Observation {
            probabilities = List.copyOf(probabilities);
            if (known < 0 || known >= probabilities.size()) {
                throw new IllegalArgumentException(
                        "The known label is %d, but there are %d labels.".formatted(known, probabilities.size()));
            }
        }
    }

    /**
     * The temperature T, from 0.05 to 20, that makes the known labels likeliest: it minimizes the sum of -log q(known), where
     * q(label) is p(label)^(1/T), normalized over the labels (Guo et al., On Calibration of Modern Neural Networks, 2017). The
     * sum is convex in 1/T. 1 if there are no observations.
     */
    public static double fit(List<Observation> observations) {
        if (observations.isEmpty()) {
            return 1;
        }
        double low = 1 / MOST;
        double high = 1 / LEAST;
        double left = high - GOLDEN * (high - low);
        double right = low + GOLDEN * (high - low);
        double lossLeft = loss(observations, left);
        double lossRight = loss(observations, right);
        for (int i = 0; i < ITERATIONS; i++) {
            if (lossLeft < lossRight) {
                high = right;
                right = left;
                lossRight = lossLeft;
                left = high - GOLDEN * (high - low);
                lossLeft = loss(observations, left);
            } else {
                low = left;
                left = right;
                lossLeft = lossRight;
                right = low + GOLDEN * (high - low);
                lossRight = loss(observations, right);
            }
        }
        return 2 / (low + high);
    }

    private static double loss(List<Observation> observations, double inverse) {
        double loss = 0;
        for (Observation observation : observations) {
            double sum = 0;
            for (double probability : observation.probabilities()) {
                sum += Math.pow(Math.max(probability, LEAST_PROBABILITY), inverse);
            }
            double known = Math.max(observation.probabilities().get(observation.known()), LEAST_PROBABILITY);
            loss += Math.log(sum) - inverse * Math.log(known);
        }
        return loss;
    }
}
