package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * Makes the answer one of some texts, always a whole one: {@code max-tokens} and stop strings do not apply to it.
 *
 * <p>The labels are a tree of tokens, those that the tokenizer gives to the prompt with the label after it. Where labels part,
 * the model chooses among the tokens that follow, greedily or as the {@link SamplingOptions} say; where a label is the
 * beginning of another, it also chooses between going on and ending. Everything else follows without the model.
 *
 * @param labels one or more texts; duplicates count once
 * @param scoring how the probabilities of a {@link LabelScores} are computed
 * @param calibration the temperature that divides log-probabilities before they are normalized: above 1 makes the
 *     probabilities more even, below 1 less; 1 leaves them as they are. See {@link Calibration}
 * @param minConfidence the least probability of an answer, from 0 to 1; below it, the answer is the abstain label. Needs a
 *     scoring
 * @param abstainLabel the answer that stands for none of the labels; it may be one of them. Empty without minConfidence
 */
public record LabelChoice(
        List<String> labels, Scoring scoring, double calibration, double minConfidence, String abstainLabel)
        implements Serializable {

    private static final double MOST_CALIBRATION = 1000;

    /** How probable a label is. */
    public enum Scoring {
        /** Not computed. */
        NONE,
        /**
         * Along the path through the tree that leads to the answer: the product, over the points at which labels part, of the
         * probability of the chosen token among those that can follow. Costs nothing. It is the probability that constrained
         * sampling at temperature 1 gives this label. The runner-up is the likeliest of the other labels where the paths to
         * it and to the answer part; see {@link LabelScores}.
         */
        PATH,
        /**
         * Of all labels: the probability that the model itself gives to all tokens of a label, normalized over the labels.
         * The answer is the most probable label, whatever the sampling options are. Costs a row of the model for each inner
         * node of the tree.
         */
        EXACT
    }

    public LabelChoice {
        // List.copyOf would throw for a null, which is an error of the request and has a message of its own
        labels = Collections.unmodifiableList(new ArrayList<>(labels));
        requireNonNull(scoring, "scoring is null");
        requireNonNull(abstainLabel, "abstainLabel is null");
        require(
                calibration >= 1 / MOST_CALIBRATION && calibration <= MOST_CALIBRATION,
                "calibration is %s, but must be from 0.001 to 1000.".formatted(calibration));
        require(
                minConfidence >= 0 && minConfidence <= 1,
                "min-confidence is %s, but must be from 0 to 1.".formatted(minConfidence));
        require(
                minConfidence == 0 || scoring != Scoring.NONE,
                "min-confidence is %s, but scoring is 'none', so that no confidence is known; set scoring to 'path' or 'exact'."
                        .formatted(minConfidence));
        require(
                minConfidence == 0 || !abstainLabel.isEmpty(),
                "min-confidence is %s, but there is no abstain-label for answers below it; name one."
                        .formatted(minConfidence));
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new LlamafuException(ErrorCode.INVALID_OPTION, message);
        }
    }

    /** One of these labels, without probabilities. */
    public static LabelChoice of(List<String> labels) {
        return of(labels, Scoring.NONE);
    }

    /** One of these labels, uncalibrated, and whatever its probability is. */
    public static LabelChoice of(List<String> labels, Scoring scoring) {
        return new LabelChoice(labels, scoring, 1, 0, "");
    }

    /** The text of an answer: its label, or the abstain label if the probability is too low. */
    public String answer(LabelScores scores) {
        return scores.probability() < minConfidence ? abstainLabel : scores.label();
    }
}
