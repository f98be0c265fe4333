package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.Competitor.Query;

import java.io.Serializable;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The records of one measurement. Record i belongs to tenant i modulo {@link #TENANTS}, and each tenant has one
 * adapter.
 *
 * @param promptTokens of each prompt; all prompts differ from the start
 * @param tokens of each answer
 * @param seed of the prompts; different in each measurement, so that no prefix cache has them
 */
record PipelineWorkload(int records, int promptTokens, int tokens, long seed) implements Serializable {
    static final int ADAPTERS = 8;
    static final int TENANTS = 5 * ADAPTERS;

    private static final long SEED_STEP = 1_000_000;

    static int tenant(long record) {
        return (int) (record % TENANTS);
    }

    static int adapter(int tenant) {
        return tenant % ADAPTERS;
    }

    String prompt(long record) {
        return RandomVocabulary.prompt(promptTokens, seed * SEED_STEP + record);
    }

    List<Query> queries() {
        return IntStream.range(0, records)
                .mapToObj(record -> new Query(prompt(record), adapter(tenant(record)), tokens))
                .toList();
    }
}
