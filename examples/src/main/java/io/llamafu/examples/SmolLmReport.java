package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.llamafu.adapter.AdapterStack;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * The answers of several runs over the same texts, compared with the labels.
 *
 * @param texts in each run
 */
record SmolLmReport(int texts, List<Run> runs) implements ExampleReport {

    /**
     * One run over all texts.
     *
     * @param run what answered: each text's own adapter, the base model, or one stack for all
     * @param errors texts with a coded error or without any answer, and answers too many
     * @param wrongStacks answers by another stack than asked for
     * @param accuracy the share of texts that got their label, by domain
     * @param mean the mean of the domains
     * @param tokensPerSecond tokens of prompts and answers over {@code seconds}
     * @param seconds of the whole job, including the loading of the model
     */
    record Run(
            String run,
            int errors,
            int wrongStacks,
            SortedMap<String, Double> accuracy,
            @JsonProperty("mean") double mean,
            double tokensPerSecond,
            double seconds) {

        static Run of(
                String name,
                List<DomainText> texts,
                Function<DomainText, String> stackOf,
                List<Answer> answers,
                Duration duration) {
            Map<String, Answer> byId = new HashMap<>();
            answers.forEach(answer -> byId.putIfAbsent(answer.id(), answer));
            int errors = answers.size() - byId.size();
            int wrongStacks = 0;
            SortedMap<String, int[]> rightOfAll = new TreeMap<>();
            for (DomainText text : texts) {
                int[] counts = rightOfAll.computeIfAbsent(text.domain(), domain -> new int[2]);
                counts[1]++;
                Answer answer = byId.get(text.id());
                if (answer == null || answer.isError()) {
                    errors++;
                } else {
                    wrongStacks += answer.answeredUnder(AdapterStack.parse(stackOf.apply(text))) ? 0 : 1;
                    counts[0] += text.label().equals(answer.answer()) ? 1 : 0;
                }
            }
            SortedMap<String, Double> accuracy = new TreeMap<>();
            rightOfAll.forEach((domain, counts) -> accuracy.put(domain, round(counts[0] / (double) counts[1], 1000)));
            double mean = accuracy.values().stream()
                    .mapToDouble(Double::doubleValue)
                    .average()
                    .orElse(0);
            double seconds = duration.toMillis() / 1000.0;
            long tokens = answers.stream()
                    .mapToLong(answer -> answer.promptTokens() + (long) answer.generatedTokens())
                    .sum();
            return new Run(
                    name,
                    errors,
                    wrongStacks,
                    accuracy,
                    round(mean, 1000),
                    seconds > 0 ? round(tokens / seconds, 10) : 0,
                    round(seconds, 10));
        }

        private static double round(double value, int parts) {
            return Math.round(value * parts) / (double) parts;
        }
    }

    /** Whether each text was answered once in each run, by the stack asked for. */
    @Override
    public boolean isSound() {
        return runs.stream().allMatch(run -> run.errors() == 0 && run.wrongStacks() == 0);
    }

    @Override
    public String text() {
        return table() + "\n" + JsonLines.write(this);
    }

    /** A row for each run. */
    String table() {
        StringBuilder table = new StringBuilder(String.format(Locale.ROOT, "%-28s", "answered by"));
        runs.get(0).accuracy().keySet().forEach(domain -> table.append("%10s".formatted(domain)));
        table.append("%10s%12s%n".formatted("mean", "tokens/s"));
        for (Run run : runs) {
            table.append("%-28s".formatted(run.run()));
            run.accuracy().values().forEach(share -> table.append(percent(share)));
            table.append(percent(run.mean())).append(String.format(Locale.ROOT, "%12.0f%n", run.tokensPerSecond()));
        }
        return table.toString();
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%8.1f %%", 100 * share);
    }
}
