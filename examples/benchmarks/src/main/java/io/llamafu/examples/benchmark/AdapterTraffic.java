package io.llamafu.examples.benchmark;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * An endless stream of records of tenants with one adapter each. Requests per adapter follow a Zipf distribution. An
 * adapter has at least one tenant; the others are assigned by the same distribution, so a popular adapter has many
 * tenants. The tenants of an adapter send equally many records.
 */
final class AdapterTraffic {
    private static final long SEED = 20_261_124;

    private final SplittableRandom random = new SplittableRandom(SEED);
    private final Zipf popularity;
    /** The tenants of adapter a are firstTenant[a] to firstTenant[a + 1]. */
    private final int[] firstTenant;

    /** A record, whose stack is one adapter. */
    record Arrival(int tenant, int adapter) {}

    AdapterTraffic(int adapters, int tenants, double exponent) {
        popularity = new Zipf(adapters, exponent, random);
        int[] tenantsOf = new int[adapters];
        Arrays.fill(tenantsOf, 1);
        for (int tenant = adapters; tenant < tenants; tenant++) {
            tenantsOf[popularity.next()]++;
        }
        firstTenant = new int[adapters + 1];
        for (int adapter = 0; adapter < adapters; adapter++) {
            firstTenant[adapter + 1] = firstTenant[adapter] + tenantsOf[adapter];
        }
    }

    Arrival next() {
        int adapter = popularity.next();
        return new Arrival(random.nextInt(firstTenant[adapter], firstTenant[adapter + 1]), adapter);
    }
}
