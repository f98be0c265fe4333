package io.llamafu.examples.benchmark;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The read bandwidth of a machine, which limits a decode step, because it reads every weight once. */
final class MemoryBandwidth {
    private static final int LONGS_PER_THREAD = 16 << 20;
    private static final int PASSES = 12;
    private static final double NANOS_PER_SECOND = 1e9;

    private MemoryBandwidth() {}

    /** Bytes per second with this many threads, each over its own 128 MB; the best of several passes. */
    static double measure(int threads) throws InterruptedException {
        long[][] arrays = new long[threads][LONGS_PER_THREAD];
        for (long[] array : arrays) {
            Arrays.fill(array, 1);
        }
        double best = 0;
        for (int pass = 0; pass < PASSES; pass++) {
            best = Math.max(best, pass(arrays));
        }
        return best;
    }

    private static double pass(long[][] arrays) throws InterruptedException {
        long[] sums = new long[arrays.length];
        Thread[] threads = IntStream.range(0, arrays.length)
                .mapToObj(index -> new Thread(() -> sums[index] = sum(arrays[index])))
                .toArray(Thread[]::new);
        long start = System.nanoTime();
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        long nanos = System.nanoTime() - start;
        if (Arrays.stream(sums).sum() != (long) arrays.length * LONGS_PER_THREAD) {
            throw new IllegalStateException("The sums are wrong.");
        }
        return (double) arrays.length * LONGS_PER_THREAD * Long.BYTES / (nanos / NANOS_PER_SECOND);
    }

    /** Four sums, so that additions do not wait for each other. */
    private static long sum(long[] array) {
        long first = 0;
        long second = 0;
        long third = 0;
        long fourth = 0;
        for (int index = 0; index < array.length; index += 4) {
            first += array[index];
            second += array[index + 1];
            third += array[index + 2];
            fourth += array[index + 3];
        }
        return first + second + third + fourth;
    }
}
