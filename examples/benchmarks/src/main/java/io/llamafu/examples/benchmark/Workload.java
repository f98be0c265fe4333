package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.Competitor.Query;
import io.llamafu.examples.benchmark.Competitor.Times;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A number of sequences, assigned to a number of adapters in turn, that are prefilled together and then decoded
 * together.
 *
 * @param sequences answered at a time
 * @param adapters sequence i has adapter i modulo this; 0 is the base model alone
 * @param promptTokens of each prompt; all prompts differ from the start
 * @param tokens of each answer
 */
record Workload(int sequences, int adapters, int promptTokens, int tokens) {
    private static final double NANOS_PER_SECOND = 1e9;

    /** With one token, a sequence would be done, and its slot and cache reused, before the last one is sent. */
    private static final int SHORTEST_ANSWER = 2;

    private static final double NOTABLE_DELAY_STEPS = 2;

    /** Tokens per second. */
    record Speed(double prefill, double decode) {}

    Workload withSequences(int newSequences) {
        return new Workload(newSequences, adapters, promptTokens, tokens);
    }

    Workload withAdapters(int newAdapters) {
        return new Workload(sequences, newAdapters, promptTokens, tokens);
    }

    Workload withTokens(int newTokens) {
        return new Workload(sequences, adapters, promptTokens, newTokens);
    }

    /**
     * Prefill: new prompts with the shortest answers; all prompt tokens over the time from the first query to the last
     * first token. Decode: the same prompts, now in the prefix caches, with whole answers; all tokens but the first of
     * each answer over the time from the earliest first token to the end. That time can only be too long: by the steps
     * that an engine needs to start all sequences, if it does not start them at once.
     *
     * @param seed of the prompts; must differ in each measurement, or there is nothing to prefill
     */
    Speed measure(Competitor competitor, long seed) throws Exception {
        List<Times> prefill = competitor.answer(queries(seed, SHORTEST_ANSWER));
        List<Times> decode = competitor.answer(queries(seed, tokens));
        warnOfLateStarts(decode);
        return new Speed(
                perSecond((long) sequences * promptTokens, firstSent(prefill), lastFirstToken(prefill)),
                perSecond((long) sequences * (tokens - 1), firstFirstToken(decode), lastEnd(decode)));
    }

    private void warnOfLateStarts(List<Times> decode) {
        double late = (double) (lastFirstToken(decode) - firstFirstToken(decode))
                / (lastEnd(decode) - firstFirstToken(decode));
        if (tokens > SHORTEST_ANSWER && late * (tokens - 1) > NOTABLE_DELAY_STEPS) {
            System.err.printf(
                    Locale.ROOT, "  The last sequence started after %.0f %% of the decode time.%n", late * 100);
        }
    }

    private List<Query> queries(long seed, int answerTokens) {
        List<Query> queries = new ArrayList<>();
        for (int index = 0; index < sequences; index++) {
            String prompt = RandomVocabulary.prompt(promptTokens, seed * 1000 + index);
            queries.add(new Query(prompt, adapters == 0 ? Competitor.NO_ADAPTER : index % adapters, answerTokens));
        }
        return queries;
    }

    private static double perSecond(long tokens, long start, long end) {
        return tokens / ((end - start) / NANOS_PER_SECOND);
    }

    private static long firstSent(List<Times> times) {
        return times.stream().mapToLong(Times::sent).min().orElseThrow();
    }

    private static long firstFirstToken(List<Times> times) {
        return times.stream().mapToLong(Times::firstToken).min().orElseThrow();
    }

    private static long lastFirstToken(List<Times> times) {
        return times.stream().mapToLong(Times::firstToken).max().orElseThrow();
    }

    private static long lastEnd(List<Times> times) {
        return times.stream().mapToLong(Times::end).max().orElseThrow();
    }
}
