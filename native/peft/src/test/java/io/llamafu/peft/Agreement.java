package io.llamafu.peft;

import io.llamafu.peft.ExpectedAnswers.Answer;
import io.llamafu.peft.ExpectedAnswers.Step;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** How far our logits are from the expected ones, over the steps that were added. */
final class Agreement {
    private final String title;
    private final List<String> disagreements = new ArrayList<>();
    private int steps;
    private int logits;
    private double sum;
    private double greatest;
    private double widestTie;

    Agreement(String title) {
        this.title = title;
    }

    void add(Answer answer, int number, float[] ours) {
        Step expected = answer.steps().get(number);
        for (int place = 0; place < expected.tokens().size(); place++) {
            double difference = Math.abs(
                    ours[expected.tokens().get(place)] - expected.logits().get(place));
            greatest = Math.max(greatest, difference);
            sum += difference;
            logits++;
        }
        steps++;
        int best = best(ours);
        if (best != expected.tokens().get(0)) {
            disagreements.add(describe(answer, number, ours, best));
            widestTie = Math.max(widestTie, expected.logits().get(0) - expectedLogit(expected, best));
        }
    }

    /** A disagreement is a matter of rounding where both tokens have nearly the same logits. */
    private static String describe(Answer answer, int number, float[] ours, int best) {
        Step expected = answer.steps().get(number);
        int theirs = expected.tokens().get(0);
        return String.format(
                Locale.ROOT,
                "prompt %d, stack '%s', step %d: expected token %d at %.4f over %d at %.4f; ours %.4f and %.4f",
                answer.number(),
                answer.stack(),
                number,
                theirs,
                expected.logits().get(0),
                best,
                expectedLogit(expected, best),
                ours[theirs],
                ours[best]);
    }

    /** Minus infinity if it is not among the greatest. */
    private static double expectedLogit(Step expected, int token) {
        int place = expected.tokens().indexOf(token);
        return place < 0 ? Double.NEGATIVE_INFINITY : expected.logits().get(place);
    }

    private static int best(float[] logits) {
        int best = 0;
        for (int token = 1; token < logits.length; token++) {
            if (logits[token] > logits[best]) {
                best = token;
            }
        }
        return best;
    }

    /** The part of the steps whose greatest logit is that of the expected token. */
    double share() {
        return 1 - (double) disagreements.size() / steps;
    }

    /** How far apart the two tokens of a disagreement are in the other implementation, at most. */
    double widestTie() {
        return widestTie;
    }

    List<String> disagreements() {
        return List.copyOf(disagreements);
    }

    /** A row of the table in {@code docs/parity.md}. */
    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "| %s | %,d | %,d (%.2f %%) | %.4f | %.4f | %.4f |",
                title,
                steps,
                steps - disagreements.size(),
                100 * share(),
                greatest,
                sum / logits,
                widestTie);
    }
}
