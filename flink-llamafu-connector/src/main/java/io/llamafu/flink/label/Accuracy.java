package io.llamafu.flink.label;

import java.util.Map;

/**
 * How many answers are right, with the 95 % interval of Wilson's score.
 *
 * @param judged rows with a right answer
 * @param correct of them
 */
record Accuracy(long judged, long correct, double share, double low, double high) {
    private static final double Z = 1.959964;

    static Accuracy of(long judged, long correct) {
        if (judged == 0) {
            return new Accuracy(0, 0, 0, 0, 1);
        }
        double share = (double) correct / judged;
        double z2 = Z * Z / judged;
        double middle = (share + z2 / 2) / (1 + z2);
        double half = Z / (1 + z2) * Math.sqrt(share * (1 - share) / judged + z2 / (4 * judged));
        return new Accuracy(judged, correct, share, Math.max(0, middle - half), Math.min(1, middle + half));
    }

    /** @param confusion counts by the right answer, then by the answer given */
    static Accuracy of(Map<String, Map<String, Long>> confusion) {
        long judged = confusion.values().stream()
                .flatMap(answers -> answers.values().stream())
                .mapToLong(Long::longValue)
                .sum();
        long correct = confusion.entrySet().stream()
                .mapToLong(right -> right.getValue().getOrDefault(right.getKey(), 0L))
                .sum();
        return of(judged, correct);
    }
}
