package io.llamafu.flink.label;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonInclude;
import io.llamafu.engine.Calibration;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Figures of rows, which add up. Mutable, and owned by one thread. */
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.ANY,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class PartStats {
    static final int CONFIDENCE_BINS = 10;
    private static final int MOST_LABELS = 1000;
    private static final int MOST_SLOW = 10;
    private static final String OTHERS = "(others)";
    private static final String NOT_ASKED = "(not asked)";

    long rows;
    long answered;
    long promptTokens;
    long generatedTokens;
    Map<String, Long> errors = new TreeMap<>();
    Map<String, Long> labels = new TreeMap<>();
    long[] confidence = new long[CONFIDENCE_BINS];
    Map<String, OfStack> stacks = new TreeMap<>();
    List<Slow> slowest = new ArrayList<>();

    /** Rows with a right answer, by that and by the answer given; an error counts as the answer "". */
    Map<String, Map<String, Long>> gold = new TreeMap<>();

    /** Rows for which the model worked in the run that wrote them. */
    OfRun asked = new OfRun();

    @JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
    @JsonInclude(JsonInclude.Include.NON_NULL)
    static final class OfStack {
        long rows;
        long errors;
        long promptTokens;
        long generatedTokens;
        double millis;

        /** Sums of {@link Calibration#losses}; null without a row whose label and probabilities are known. */
        @Nullable
        double[] calibrationLosses;

        long calibrationRows;

        void add(OfStack other) {
            rows += other.rows;
            errors += other.errors;
            promptTokens += other.promptTokens;
            generatedTokens += other.generatedTokens;
            millis += other.millis;
            if (other.calibrationLosses != null) {
                calibrate(other.calibrationLosses, other.calibrationRows);
            }
        }

        private void calibrate(double[] losses, long count) {
            calibrationRows += count;
            if (calibrationLosses == null) {
                calibrationLosses = losses.clone();
                return;
            }
            for (int i = 0; i < losses.length; i++) {
                calibrationLosses[i] += losses[i];
            }
        }
    }

    @JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
    static final class OfRun {
        long rows;
        long promptCharacters;
        long promptTokens;
        long generatedTokens;
        Map<String, Long> labels = new TreeMap<>();

        void add(OfRun other) {
            rows += other.rows;
            promptCharacters += other.promptCharacters;
            promptTokens += other.promptTokens;
            generatedTokens += other.generatedTokens;
            other.labels.forEach((label, count) -> count(labels, label, count));
        }
    }

    /** @param row its part and number, from 1 */
    record Slow(String row, double millis, int promptTokens, int generatedTokens) {}

    /**
     * A row.
     *
     * @param goldLabel the right answer, if it is known
     * @param labelSet of which answers are; empty if answers are no labels
     */
    void add(String row, Answer answer, @Nullable String goldLabel, List<String> labelSet) {
        rows++;
        promptTokens += answer.promptTokens();
        generatedTokens += answer.generatedTokens();
        if (answer.errorCode() != null) {
            count(errors, answer.errorCode(), 1);
        } else if (answer.answer() != null) {
            answered++;
            if (!labelSet.isEmpty()) {
                count(labels, answer.answer(), 1);
            }
        }
        if (answer.confidence() != null) {
            int bin = (int) (answer.confidence() * CONFIDENCE_BINS);
            confidence[Math.max(0, Math.min(CONFIDENCE_BINS - 1, bin))]++;
        }
        OfStack ofStack =
                stacks.computeIfAbsent(answer.stack() == null ? NOT_ASKED : answer.stack(), any -> new OfStack());
        ofStack.rows++;
        ofStack.errors += answer.errorCode() == null ? 0 : 1;
        ofStack.promptTokens += answer.promptTokens();
        ofStack.generatedTokens += answer.generatedTokens();
        ofStack.millis += answer.millis();
        if (goldLabel != null) {
            count(
                    gold.computeIfAbsent(room(gold, goldLabel), any -> new TreeMap<>()),
                    answer.answer() == null ? "" : answer.answer(),
                    1);
            int known = labelSet.indexOf(goldLabel);
            if (known >= 0 && answer.probabilities() != null) {
                ofStack.calibrate(Calibration.losses(answer.probabilities(), known), 1);
            }
        }
        if (answer.millis() > 0) {
            slowest.add(new Slow(row, answer.millis(), answer.promptTokens(), answer.generatedTokens()));
            keepSlowest();
        }
    }

    /** @param worked whether the model computed the answer for this row, and not for an equal one */
    void addAsked(Answer answer, int promptCharacters, boolean worked, boolean labelled) {
        asked.rows++;
        if (worked) {
            asked.promptCharacters += promptCharacters;
            asked.promptTokens += answer.promptTokens();
            asked.generatedTokens += answer.generatedTokens();
        }
        if (labelled && answer.answer() != null) {
            count(asked.labels, answer.answer(), 1);
        }
    }

    private void keepSlowest() {
        if (slowest.size() > MOST_SLOW) {
            slowest.sort(Comparator.comparingDouble(Slow::millis).reversed());
            slowest = new ArrayList<>(slowest.subList(0, MOST_SLOW));
        }
    }

    void add(PartStats other) {
        rows += other.rows;
        answered += other.answered;
        promptTokens += other.promptTokens;
        generatedTokens += other.generatedTokens;
        other.errors.forEach((code, count) -> count(errors, code, count));
        other.labels.forEach((label, count) -> count(labels, label, count));
        for (int bin = 0; bin < CONFIDENCE_BINS; bin++) {
            confidence[bin] += other.confidence[bin];
        }
        other.stacks.forEach((stack, figures) ->
                stacks.computeIfAbsent(stack, any -> new OfStack()).add(figures));
        other.gold.forEach((right, answers) -> answers.forEach((answer, count) ->
                count(gold.computeIfAbsent(room(gold, right), any -> new TreeMap<>()), answer, count)));
        slowest.addAll(other.slowest);
        slowest.sort(Comparator.comparingDouble(Slow::millis).reversed());
        keepSlowest();
        asked.add(other.asked);
    }

    private static void count(Map<String, Long> counts, String key, long count) {
        counts.merge(room(counts, key), count, Long::sum);
    }

    private static String room(Map<String, ?> counts, String key) {
        return counts.containsKey(key) || counts.size() < MOST_LABELS ? key : OTHERS;
    }
}
