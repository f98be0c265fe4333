package io.llamafu.engine;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class CalibrationTest {
    private static final int RECORDS = 20_000;
    private static final int LABELS = 5;

    private static final double[] NOTHING = new double[Calibration.losses(List.of(1.0), 0).length];

    /** Records whose true label is drawn from the softmax of logits / T, while the model reports the softmax of the logits. */
    private static double[] lossesOf(double temperature, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        double[] losses = NOTHING.clone();
        for (int record = 0; record < RECORDS; record++) {
            double[] logits = random.doubles(LABELS, -4, 4).toArray();
            add(
                    losses,
                    Calibration.losses(softmax(logits, 1), draw(softmax(logits, temperature), random.nextDouble())));
        }
        return losses;
    }

    private static void add(double[] sums, double[] losses) {
        for (int i = 0; i < sums.length; i++) {
            sums[i] += losses[i];
        }
    }

    private static List<Double> softmax(double[] logits, double temperature) {
        double[] exponentials = DoubleStream.of(logits)
                .map(logit -> Math.exp(logit / temperature))
                .toArray();
        double sum = DoubleStream.of(exponentials).sum();
        return DoubleStream.of(exponentials)
                .map(exponential -> exponential / sum)
                .boxed()
                .toList();
    }

    private static int draw(List<Double> probabilities, double at) {
        double sum = 0;
        for (int label = 0; label < LABELS - 1; label++) {
            sum += probabilities.get(label);
            if (at < sum) {
                return label;
            }
        }
        return LABELS - 1;
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.4, 0.9, 1, 1.7, 5})
    void findsTheTemperatureThatTheLabelsWereDrawnWith(double temperature) {
        assertThat(Calibration.temperature(lossesOf(temperature, 1)))
                .isCloseTo(temperature, within(0.06 * temperature));
    }

    @Test
    void probabilitiesWithATemperatureNeedTheProductOfBoth() {
        SplittableRandom random = new SplittableRandom(2);
        double[] losses = NOTHING.clone();
        for (int record = 0; record < RECORDS; record++) {
            double[] logits = random.doubles(LABELS, -4, 4).toArray();
            add(losses, Calibration.losses(softmax(logits, 2), draw(softmax(logits, 3), random.nextDouble())));
        }
        assertThat(2 * Calibration.temperature(losses)).isCloseTo(3, within(0.2));
    }

    @Test
    void extremesStayInTheRange() {
        assertThat(Calibration.temperature(NOTHING)).isEqualTo(1);
        assertThat(Calibration.temperature(Calibration.losses(List.of(1.0), 0))).isEqualTo(1);
        assertThat(Calibration.temperature(Calibration.losses(List.of(0.9, 0.1), 0)))
                .isCloseTo(0.05, within(0.01));
        assertThat(Calibration.temperature(Calibration.losses(List.of(1.0, 0.0), 1)))
                .isCloseTo(20, within(1e-9));
        assertThat(DoubleStream.of(Calibration.losses(List.of(1.0, 0.0), 1)).allMatch(Double::isFinite))
                .isTrue();
    }

    @Test
    void indexesOutsideTheLabelsAreRejected() {
        assertThatThrownBy(() -> Calibration.losses(List.of(0.5, 0.5), 2))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("2");
        assertThatThrownBy(() -> Calibration.temperature(new double[3]))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("3");
    }
}
