package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.AdapterTraffic.Arrival;
import io.llamafu.examples.benchmark.AffinitySimulation.Dealing;
import org.junit.jupiter.api.Test;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class AffinitySimulationTest {
    private static final double LOAD_BOUND = 1.25;

    /** Like the benchmark, with fewer records. */
    private static final AffinitySimulation SIMULATION =
            new AffinitySimulation(5000, 20_000, 1.1, 50, 1, 64, LOAD_BOUND, 250_000, 250_000);

    @Test
    void affinityFindsAdaptersInMemoryAndKeepsTheBound() {
        AffinityResult affinity = SIMULATION.run(Dealing.AFFINITY);

        assertThat(affinity.residentHitRate()).isGreaterThan(0.9);
        assertThat(affinity.maxOverMeanLoad()).isLessThan(LOAD_BOUND);
    }

    @Test
    void othersDoOneOrTheOther() {
        AffinityResult rebalance = SIMULATION.run(Dealing.REBALANCE);
        AffinityResult stack = SIMULATION.run(Dealing.STACK);

        assertThat(rebalance.residentHitRate()).isLessThan(0.7);
        assertThat(rebalance.maxOverMeanLoad()).isCloseTo(1, within(0.01));
        assertThat(stack.residentHitRate()).isGreaterThan(0.9);
        assertThat(stack.maxOverMeanLoad()).isGreaterThan(5);
    }

    @Test
    void adaptersAreAskedForByZipfsLawAndTenantsKeepTheirs() {
        AdapterTraffic traffic = new AdapterTraffic(100, 400, 1);
        Map<Integer, Integer> records = new HashMap<>();
        Map<Integer, Set<Integer>> adapters = new HashMap<>();
        Stream.generate(traffic::next).limit(100_000).forEach((Arrival arrival) -> {
            records.merge(arrival.adapter(), 1, Integer::sum);
            adapters.computeIfAbsent(arrival.tenant(), tenant -> new HashSet<>())
                    .add(arrival.adapter());
        });

        assertThat(adapters).hasSize(400).allSatisfy((tenant, ofTenant) -> assertThat(ofTenant)
                .hasSize(1));
        // 1 / (1 + 1/2 + ... + 1/100) of the records, half and a tenth of that
        assertThat(records.get(0) / 100_000.0).isCloseTo(0.193, within(0.01));
        assertThat(records.get(1) / 100_000.0).isCloseTo(0.096, within(0.01));
        assertThat(records.get(9) / 100_000.0).isCloseTo(0.019, within(0.002));
    }
}
