package io.llamafu.flink.options;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.annotation.Internal;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * How records get labels, as the options say.
 *
 * @param labels empty if answers are no labels
 * @param calibration temperatures by stack
 * @param otherCalibration the temperature of all other stacks
 * @param multiLabel whether an answer is a subset of the labels
 */
@Internal
public record LabelOptions(
        List<String> labels,
        Scoring scoring,
        double minConfidence,
        String abstainLabel,
        Map<AdapterStack, Double> calibration,
        double otherCalibration,
        boolean multiLabel) {
    private static final String CALIBRATION = "calibration";

    public LabelOptions {
        labels = List.copyOf(labels);
        checkNotNull(scoring, "scoring is null");
        checkNotNull(abstainLabel, "abstainLabel is null");
        calibration = Map.copyOf(calibration);
    }

    /**
     * Parses the written forms.
     *
     * @param calibration a {@link TextList} of {@code STACK=TEMPERATURE}, and {@code TEMPERATURE} for the other stacks
     * @throws LlamafuException with INVALID_OPTION
     */
    public static LabelOptions parse(
            List<String> labels,
            Scoring scoring,
            double minConfidence,
            String abstainLabel,
            String calibration,
            boolean multiLabel) {
        Map<AdapterStack, Double> byStack = new HashMap<>();
        double others = 1;
        for (String entry : TextList.parse(CALIBRATION, calibration)) {
            int equals = entry.lastIndexOf('=');
            double temperature = temperature(entry, entry.substring(equals + 1));
            if (equals < 0) {
                others = temperature;
            } else {
                byStack.put(AdapterStack.parse(entry.substring(0, equals)), temperature);
            }
        }
        return new LabelOptions(labels, scoring, minConfidence, abstainLabel, byStack, others, multiLabel);
    }

    private static double temperature(String entry, String number) {
        try {
            double temperature = Double.parseDouble(number);
            // which has the range
            LabelChoice unused = new LabelChoice(List.of(), Scoring.NONE, temperature, 0, "");
            return temperature;
        } catch (NumberFormatException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "calibration has '%s', but must be numbers such as 1.4, or stacks with a number such as medical=1.4, separated by ';'."
                            .formatted(entry),
                    e);
        }
    }

    /**
     * Checks the options together.
     *
     * @throws LlamafuException with INVALID_OPTION, or the code of a label that cannot be answered
     */
    public void check() {
        LabelChoice unusedChoice = choice(labels, scoring, AdapterStack.base());
        if (multiLabel && scoring != Scoring.NONE) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "multi-label is true, but scoring is '%s', and subsets of labels have no probabilities: leave one of them out."
                            .formatted(scoring.name().toLowerCase(Locale.ROOT)));
        }
        if (!labels.isEmpty()) {
            requireSeparated(labels, ErrorCode.INVALID_OPTION);
            String unusedGrammar = multiLabel ? LabelGrammar.subsetsOf(labels) : LabelGrammar.of(labels);
        }
    }

    /**
     * Refuses a single label that looks like several: every record would get it.
     *
     * @throws LlamafuException with the code
     */
    public static void requireSeparated(List<String> labels, ErrorCode code) {
        if (labels.size() == 1 && labels.get(0) != null && labels.get(0).matches("(?s).*[,;|].*")) {
            throw new LlamafuException(
                    code,
                    "The only label is '%s'. Write several as 'invoice;complaint', as the JSON array [\"invoice\", \"complaint\"], or in SQL as ARRAY['invoice', 'complaint']."
                            .formatted(labels.get(0)));
        }
    }

    /** The calibration of a stack. */
    public double temperature(AdapterStack stack) {
        return calibration.getOrDefault(stack, otherCalibration);
    }

    /** What requests of a stack must be answered with; empty if that is no single label. */
    public Optional<LabelChoice> choice(AdapterStack stack) {
        return labels.isEmpty() || multiLabel ? Optional.empty() : Optional.of(choice(labels, scoring, stack));
    }

    private LabelChoice choice(List<String> otherLabels, Scoring otherScoring, AdapterStack stack) {
        return new LabelChoice(otherLabels, otherScoring, temperature(stack), minConfidence, abstainLabel);
    }

    /**
     * The request, answered with other labels than these, and with another scoring.
     *
     * @throws LlamafuException with INVALID_OPTION if these options and the scoring contradict, or the code of a label that
     *     cannot be answered
     */
    public CompletionRequest apply(CompletionRequest request, List<String> otherLabels, Scoring otherScoring) {
        if (multiLabel) {
            return request.withStop()
                    .withLabels(Optional.empty())
                    .withSampling(request.sampling().withGrammar(LabelGrammar.subsetsOf(otherLabels)))
                    .withMaxTokens(LabelGrammar.maxTokensOfSubset(otherLabels));
        }
        return request.withStop()
                .withSampling(request.sampling().withGrammar(""))
                .withLabels(Optional.of(choice(otherLabels, otherScoring, request.adapters())));
    }
}
