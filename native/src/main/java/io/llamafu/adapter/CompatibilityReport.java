package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * All reasons why an adapter cannot be used with a base model.
 *
 * @param reasons empty if it can be used
 * @param trainedOn the model that the adapter names as its base, if any. Models have many names, so a difference is not
 *     a reason by itself
 * @param base the name of the base model, if it has one
 * @param isOfAnotherBase whether the adapter names a base whose name is none of those that the model has
 */
public record CompatibilityReport(
        List<Reason> reasons, Optional<String> trainedOn, Optional<String> base, boolean isOfAnotherBase) {
    private static final int MOST_REASONS_IN_MESSAGE = 10;

    /**
     * One reason.
     *
     * @param code {@link ErrorCode#ADAPTER_INVALID} if the file is wrong for any base, {@link
     *     ErrorCode#ADAPTER_INCOMPATIBLE} if it is wrong for this one
     * @param subject the tensor or metadata key
     * @param expected the required value
     * @param actual the value found
     */
    public record Reason(ErrorCode code, String subject, String expected, String actual) {
        public Reason {
            requireNonNull(code, "code is null");
            requireNonNull(subject, "subject is null");
            requireNonNull(expected, "expected is null");
            requireNonNull(actual, "actual is null");
        }

        @Override
        public String toString() {
            return "%s: expected %s, but is %s".formatted(subject, expected, actual);
        }
    }

    public CompatibilityReport {
        reasons = List.copyOf(reasons);
        requireNonNull(trainedOn, "trainedOn is null");
        requireNonNull(base, "base is null");
    }

    /** A report on an adapter that names no base. */
    public static CompatibilityReport of(List<Reason> reasons) {
        return new CompatibilityReport(reasons, Optional.empty(), Optional.empty(), false);
    }

    /** With a further reason. */
    CompatibilityReport and(Reason reason) {
        return new CompatibilityReport(
                Stream.concat(reasons.stream(), Stream.of(reason)).toList(), trainedOn, base, isOfAnotherBase);
    }

    public boolean isCompatible() {
        return reasons.isEmpty();
    }

    /**
     * Throws if the adapter cannot be used.
     *
     * @param adapter its name in messages
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if any reason is a malformed file, else with
     *     {@link ErrorCode#ADAPTER_INCOMPATIBLE}; the message gives the first reasons
     */
    public void requireCompatible(String adapter) {
        problem(adapter).ifPresent(problem -> {
            throw new LlamafuException(code(), problem);
        });
    }

    /**
     * The first reasons as a sentence; empty if there are none.
     *
     * @param adapter its name in the sentence
     */
    public Optional<String> problem(String adapter) {
        if (isCompatible()) {
            return Optional.empty();
        }
        String problem = code() == ErrorCode.ADAPTER_INVALID
                ? "is no valid LoRA adapter"
                : "does not fit the model, use the one that it was trained on";
        return Optional.of("The adapter '%s' %s: %s.%s".formatted(adapter, problem, summary(), origin()));
    }

    private ErrorCode code() {
        return reasons.stream().anyMatch(reason -> reason.code() == ErrorCode.ADAPTER_INVALID)
                ? ErrorCode.ADAPTER_INVALID
                : ErrorCode.ADAPTER_INCOMPATIBLE;
    }

    private String origin() {
        return trainedOn
                .map(name -> " It says that it was trained on '%s'; the model is '%s'."
                        .formatted(name, base.orElse("without a name")))
                .orElse("");
    }

    private String summary() {
        String first = reasons.stream()
                .limit(MOST_REASONS_IN_MESSAGE)
                .map(Reason::toString)
                .collect(Collectors.joining("; "));
        int more = reasons.size() - MOST_REASONS_IN_MESSAGE;
        return more > 0 ? first + "; and %d more reasons".formatted(more) : first;
    }
}
