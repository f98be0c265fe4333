package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The answers compared with what the tickets expect.
 *
 * @param records tickets
 * @param completions tickets with an answer
 * @param errors tickets with a coded error instead of an answer
 * @param lost tickets with neither
 * @param duplicates further answers to a ticket, and answers without a ticket
 * @param wrongStacks completions of another stack than that of the route
 * @param exactMatch the share of tickets with exactly the expected answer
 * @param stacks the same by the stack of the route
 * @param tokensPerSecond generated tokens over {@code seconds}
 * @param seconds of the whole job, including the loading of the model
 */
record RoutingReport(
        int records,
        int completions,
        int errors,
        int lost,
        int duplicates,
        int wrongStacks,
        double exactMatch,
        SortedMap<String, StackScore> stacks,
        double tokensPerSecond,
        double seconds)
        implements ExampleReport {

    /** The score of the tickets of one stack. */
    record StackScore(int records, double exactMatch) {}

    static RoutingReport of(List<Ticket> tickets, List<Answer> answers, Duration duration) {
        Map<String, Answer> firstAnswers = new HashMap<>();
        answers.forEach(answer -> firstAnswers.putIfAbsent(answer.id(), answer));
        Tally all = new Tally();
        SortedMap<String, Tally> byStack = new TreeMap<>();
        for (Ticket ticket : tickets) {
            Answer answer = firstAnswers.get(ticket.id());
            all.count(ticket, answer);
            byStack.computeIfAbsent(ticket.expectedStack(), stack -> new Tally())
                    .count(ticket, answer);
        }
        SortedMap<String, StackScore> stacks = new TreeMap<>();
        byStack.forEach((stack, tally) -> stacks.put(stack, new StackScore(tally.records, tally.exactMatch())));

        double seconds = duration.toMillis() / 1000.0;
        long tokens = answers.stream().mapToLong(Answer::generatedTokens).sum();
        return new RoutingReport(
                all.records,
                all.completions,
                all.errors,
                all.lost,
                answers.size() - all.completions - all.errors,
                all.wrongStacks,
                all.exactMatch(),
                stacks,
                seconds > 0 ? round(tokens / seconds) : 0,
                round(seconds));
    }

    /** Whether each ticket was answered once, under the stack of its route. */
    @Override
    public boolean isSound() {
        return errors == 0 && lost == 0 && duplicates == 0 && wrongStacks == 0;
    }

    private static double round(double value) {
        return Math.round(value * 10) / 10.0;
    }

    private static final class Tally {
        private int records;
        private int completions;
        private int errors;
        private int lost;
        private int wrongStacks;
        private int exact;

        private void count(Ticket ticket, Answer answer) {
            records++;
            if (answer == null) {
                lost++;
            } else if (answer.isError()) {
                errors++;
            } else {
                completions++;
                wrongStacks += answer.answeredUnder(AdapterStack.parse(ticket.expectedStack())) ? 0 : 1;
                exact += Objects.equals(answer.answer(), ticket.expected()) ? 1 : 0;
            }
        }

        /** Rounded to four places, but never up to 1. */
        private double exactMatch() {
            return records == 0 ? 0 : Math.floor(exact * 10_000.0 / records) / 10_000;
        }
    }
}
