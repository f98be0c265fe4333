package io.llamafu.llamacpp;

import java.util.List;

/** Sums of numbers that are given by their logarithms, with the same bits on every processor. */
final class Logarithms {
    private Logarithms() {}

    /** The logarithm of the sum of exp(value); negative infinity for none. */
    static double sum(List<Double> values) {
        double most = Double.NEGATIVE_INFINITY;
        for (double value : values) {
            most = Math.max(most, value);
        }
        if (most == Double.NEGATIVE_INFINITY) {
            return most;
        }
        double sum = 0;
        for (double value : values) {
            sum += StrictMath.exp(value - most);
        }
        return most + StrictMath.log(sum);
    }

    /** The same of a part of an array. */
    static double sum(float[] values, int from, int to) {
        Double[] part = new Double[to - from];
        for (int i = from; i < to; i++) {
            part[i - from] = (double) values[i];
        }
        return sum(List.of(part));
    }
}
