package io.llamafu.examples.benchmark;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Draws numbers from 0 on, number n with a probability in proportion to (n + 1) to the power of minus the exponent. */
final class Zipf {
    private final SplittableRandom random;
    /** The probability of a number up to this one. */
    private final double[] cumulative;

    Zipf(int count, double exponent, SplittableRandom random) {
        this.random = random;
        cumulative = new double[count];
        double sum = 0;
        for (int number = 0; number < count; number++) {
            sum += Math.pow(number + 1, -exponent);
            cumulative[number] = sum;
        }
        for (int number = 0; number < count; number++) {
            cumulative[number] /= sum;
        }
    }

    int next() {
        int found = Arrays.binarySearch(cumulative, random.nextDouble());
        return found >= 0 ? found : -found - 1;
    }
}
