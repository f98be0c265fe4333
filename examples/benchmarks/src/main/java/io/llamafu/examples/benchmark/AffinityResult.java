package io.llamafu.examples.benchmark;

import java.util.List;
import java.util.Locale;

/**
 * The result of one way to distribute records to TaskManagers.
 *
 * @param dealing how the records are distributed
 * @param residentHitRate share of the records after the warm-up whose adapter was in the TaskManager's memory
 * @param residentHitRateFromStart the same including the warm-up, which starts with empty memory
 * @param maxOverMeanLoad records of the busiest TaskManager after the warm-up, relative to the mean
 * @param maxOverMeanLoadOfWorstWindow the maximum of that over windows of {@link AffinitySimulation#WINDOW} records,
 *     including the warm-up
 * @param adaptersPerTaskManager mean number of distinct adapters requested from a TaskManager after the warm-up
 */
record AffinityResult(
        String dealing,
        double residentHitRate,
        double residentHitRateFromStart,
        double maxOverMeanLoad,
        double maxOverMeanLoadOfWorstWindow,
        double adaptersPerTaskManager) {

    static String markdown(List<AffinityResult> results) {
        StringBuilder table = new StringBuilder(
                """
                | records are dealt by | resident | resident, with warm-up | max / mean load | in the worst window | adapters per TaskManager |
                |---|--:|--:|--:|--:|--:|
                """);
        for (AffinityResult result : results) {
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %.3f | %.3f | %.2f | %.2f | %.0f |%n",
                    result.dealing(),
                    result.residentHitRate(),
                    result.residentHitRateFromStart(),
                    result.maxOverMeanLoad(),
                    result.maxOverMeanLoadOfWorstWindow(),
                    result.adaptersPerTaskManager()));
        }
        return table.toString();
    }
}
