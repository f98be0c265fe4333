package io.llamafu.examples.benchmark;

import java.util.List;

/** Something that answers many prompts at once. */
interface Competitor extends AutoCloseable {
    /** The adapter of a query without one. */
    int NO_ADAPTER = -1;

    /**
     * A prompt for a fixed number of tokens.
     *
     * @param adapter the number of the adapter, or {@link #NO_ADAPTER}
     */
    record Query(String prompt, int adapter, int tokens) {}

    /** When a query was sent, and when its first and last token arrived, by {@link System#nanoTime}. */
    record Times(long sent, long firstToken, long end) {}

    /** Sends all queries at once and waits for all answers. */
    List<Times> answer(List<Query> queries) throws Exception;

    @Override
    void close();
}
