package io.llamafu.examples.soak;

import com.fasterxml.jackson.annotation.JsonIgnore;

import javax.annotation.Nullable;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;

/**
 * The result of a soak test.
 *
 * @param minutes in which records were sent
 * @param records sent, healthy and hostile
 * @param exact exactly answered records: healthy ones, and those that lack only an id
 * @param answers outcomes with a text
 * @param deadLetters outcomes with an error
 * @param hostile outcomes of hostile records by kind, then by error code or ANSWER
 * @param rejectedRoutes rejected malformed route changes
 * @param publications of adapters
 * @param kills of TaskManagers
 * @param restarts of the job
 * @param longestOutageSeconds from a kill until all tasks ran again
 * @param checkpoints completed
 * @param checkpointsCaught failed, whether or not a kill explains it
 * @param longestCheckpointMillis of the completed ones
 * @param memoryMib medians of the surviving TaskManager's resident memory, by minute
 * @param memorySameAgeMib the median of each other TaskManager at the age of 60 to 110 seconds
 * @param growth of the surviving one after the warm-up, 0.01 is one percent; null if it is not judged
 * @param growthSameAge of the others; null if it is not judged
 * @param broken number of breaches by promise; only broken ones
 * @param evidence the first observations of each broken promise
 */
record SoakReport(
        double minutes,
        long records,
        long exact,
        long answers,
        long deadLetters,
        Map<String, SortedMap<String, Long>> hostile,
        long rejectedRoutes,
        int publications,
        int kills,
        int restarts,
        double longestOutageSeconds,
        long checkpoints,
        long checkpointsCaught,
        long longestCheckpointMillis,
        SortedMap<Long, Long> memoryMib,
        Map<String, Long> memorySameAgeMib,
        @Nullable Double growth,
        @Nullable Double growthSameAge,
        Map<Promise, Long> broken,
        @JsonIgnore Map<Promise, List<String>> evidence) {

    /** Whether all promises were kept. */
    @JsonIgnore
    boolean isSound() {
        return broken.isEmpty();
    }

    /** For human readers. */
    String table() {
        StringBuilder table = new StringBuilder();
        row(table, "records", "%d in %s minutes".formatted(records, minutes));
        row(table, "answered exactly", "%d".formatted(exact));
        row(table, "answers, dead letters", "%d, %d".formatted(answers, deadLetters));
        hostile.forEach((kind, results) -> row(table, "  " + kind, results.toString()));
        row(table, "rejected route changes", "%d".formatted(rejectedRoutes));
        row(table, "publications of adapters", "%d".formatted(publications));
        row(
                table,
                "kills, restarts",
                "%d, %d; back after %.1f s at most".formatted(kills, restarts, longestOutageSeconds));
        row(
                table,
                "checkpoints",
                "%d completed, in %d ms at most; %d failed"
                        .formatted(checkpoints, longestCheckpointMillis, checkpointsCaught));
        row(table, "memory by minute, MiB", memoryMib.values().toString());
        row(table, "  at the age of a minute", memorySameAgeMib.values().toString());
        row(table, "  growth", "%s, %s".formatted(percent(growth), percent(growthSameAge)));
        table.append(System.lineSeparator());
        for (Promise promise : Promise.values()) {
            row(table, verdict(promise), promise.text());
            evidence.getOrDefault(promise, List.of()).forEach(what -> row(table, "", what));
        }
        return table.toString();
    }

    private String verdict(Promise promise) {
        long times = broken.getOrDefault(promise, 0L);
        if (times > 0) {
            return "BROKEN, %d times".formatted(times);
        }
        return promise == Promise.FLAT_MEMORY && growth == null ? "not judged" : "held";
    }

    private static String percent(@Nullable Double growth) {
        return growth == null ? "not judged" : "%.1f %%".formatted(100 * growth);
    }

    private static void row(StringBuilder table, String name, String value) {
        table.append("%-26s  %s%n".formatted(name, value));
    }
}
