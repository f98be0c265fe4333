package io.llamafu.examples.benchmark;

import java.util.List;
import java.util.Locale;

/**
 * A whole job compared with the engine alone; medians of the rounds.
 *
 * @param parallelism subtasks of the job, which share the engine
 * @param jobOverEngine records per second of the job relative to the engine
 * @param checkpoints completed by the job in a round
 */
record PipelineResult(
        String model,
        int sequences,
        int parallelism,
        int records,
        int promptTokens,
        int tokens,
        double engineRecordsPerSecond,
        double jobRecordsPerSecond,
        double jobOverEngine,
        double checkpoints) {

    static String markdown(List<PipelineResult> results) {
        StringBuilder table = new StringBuilder(
                """
                | model | sequences | records | prompt | answer | engine alone, records/s | job, records/s | job / engine | checkpoints |
                |---|--:|--:|--:|--:|--:|--:|--:|--:|
                """);
        for (PipelineResult result : results) {
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %d | %d | %d | %d | %.3f | %.3f | %.3f | %.0f |%n",
                    result.model(),
                    result.sequences(),
                    result.records(),
                    result.promptTokens(),
                    result.tokens(),
                    result.engineRecordsPerSecond(),
                    result.jobRecordsPerSecond(),
                    result.jobOverEngine(),
                    result.checkpoints()));
        }
        return table.toString();
    }
}
