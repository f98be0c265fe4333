package io.llamafu.examples;

/**
 * The answers so far, in keyed state.
 *
 * @param current answers of the stack in production
 * @param candidate answers of the stack that might replace it
 * @param decided whether the decision has been made
 */
public record CanaryTally(int current, int currentRight, int candidate, int candidateRight, boolean decided) {
    static CanaryTally none() {
        return new CanaryTally(0, 0, 0, 0, false);
    }

    CanaryTally plus(boolean ofCandidate, boolean isRight) {
        int right = isRight ? 1 : 0;
        return ofCandidate
                ? new CanaryTally(current, currentRight, candidate + 1, candidateRight + right, decided)
                : new CanaryTally(current + 1, currentRight + right, candidate, candidateRight, decided);
    }

    CanaryTally asDecided() {
        return new CanaryTally(current, currentRight, candidate, candidateRight, true);
    }

    /** Whether its share of right answers is not lower. */
    boolean isCandidateAsGood() {
        return (long) candidateRight * current >= (long) currentRight * candidate;
    }
}
