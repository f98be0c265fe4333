package io.llamafu.examples.benchmark;

import java.util.List;
import java.util.Locale;

/**
 * What a way to deal records to TaskManagers gives.
 *
 * @param dealing how the records are dealt
 * @param residentHitRate records whose adapter was in the TaskManager's memory, of all records after the warm-up
 * @param residentHitRateFromStart the same with the warm-up, in which memory is empty at first
 * @param maxOverMeanLoad records of the busiest TaskManager after the warm-up, over the mean
 * @param maxOverMeanLoadOfWorstWindow the same in that window of {@link AffinitySimulation#WINDOW} records where it is the
 *     greatest, warm-up included
 * @param adaptersPerTaskManager different adapters that a TaskManager was asked for after the warm-up, in the mean
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
