package io.llamafu.engine;

import java.util.List;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * How probable the labels of a {@link LabelChoice} are, over the label set: the probabilities of all labels add up to 1.
 *
 * @param label the label of the answer, also where the answer is the abstain label
 * @param probability of that label
 * @param runnerUp the most probable of the other labels. Empty if there is no other; with {@link LabelChoice.Scoring#PATH}
 *     also if several labels part from the path to the answer together, and their common probability is the highest
 * @param runnerUpProbability of the runner-up, or of those labels together; 0 if there is no other label
 * @param probabilities of all labels, in the order of the request and 0 for the repetition of one; empty unless the scoring is
 *     {@link LabelChoice.Scoring#EXACT}
 */
public record LabelScores(
        String label,
        double probability,
        Optional<String> runnerUp,
        double runnerUpProbability,
        List<Double> probabilities) {
    public LabelScores {
        requireNonNull(label, "label is null");
        requireNonNull(runnerUp, "runnerUp is null");
        probabilities = List.copyOf(probabilities);
    }
}
