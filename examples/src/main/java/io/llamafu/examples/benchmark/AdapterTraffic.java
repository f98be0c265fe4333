package io.llamafu.examples.benchmark;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * An endless stream of records of tenants, each with one adapter. How often an adapter is asked for follows Zipf's law. An
 * adapter has at least one tenant; the others are dealt to the adapters by the same law, so that a popular adapter is so
 * because of its many tenants. The tenants of an adapter send equally many records.
 */
final class AdapterTraffic {
    private static final long SEED = 20_261_124;

    private final SplittableRandom random = new SplittableRandom(SEED);
    /** The probability of an adapter or one before it. */
    private final double[] cumulative;
    /** The tenants of adapter a are firstTenant[a] to firstTenant[a + 1]. */
    private final int[] firstTenant;

    /** A record, whose stack is one adapter. */
    record Arrival(int tenant, int adapter) {}

    AdapterTraffic(int adapters, int tenants, double exponent) {
        cumulative = zipf(adapters, exponent);
        int[] tenantsOf = new int[adapters];
        Arrays.fill(tenantsOf, 1);
        for (int tenant = adapters; tenant < tenants; tenant++) {
            tenantsOf[drawAdapter()]++;
        }
        firstTenant = new int[adapters + 1];
        for (int adapter = 0; adapter < adapters; adapter++) {
            firstTenant[adapter + 1] = firstTenant[adapter] + tenantsOf[adapter];
        }
    }

    private static double[] zipf(int adapters, double exponent) {
        double[] sums = new double[adapters];
        double sum = 0;
        for (int adapter = 0; adapter < adapters; adapter++) {
            sum += Math.pow(adapter + 1, -exponent);
            sums[adapter] = sum;
        }
        for (int adapter = 0; adapter < adapters; adapter++) {
            sums[adapter] /= sum;
        }
        return sums;
    }

    Arrival next() {
        int adapter = drawAdapter();
        return new Arrival(random.nextInt(firstTenant[adapter], firstTenant[adapter + 1]), adapter);
    }

    private int drawAdapter() {
        int found = Arrays.binarySearch(cumulative, random.nextDouble());
        return found >= 0 ? found : -found - 1;
    }
}
