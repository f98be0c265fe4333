package io.llamafu.flink.table;

import io.llamafu.LlamafuException;
import io.llamafu.engine.Completion;

import javax.annotation.Nullable;

/**
 * What came of a call: an answer with its completion, an error, or neither.
 *
 * @param answer null without a completion
 */
record Outcome(@Nullable String answer, @Nullable Completion completion, @Nullable LlamafuException error) {

    private static final Outcome NOTHING = new Outcome(null, null, null);

    static Outcome answered(String answer, Completion completion) {
        return new Outcome(answer, completion, null);
    }

    static Outcome failed(LlamafuException error) {
        return new Outcome(null, null, error);
    }

    /** NULL in, NULL out; and what {@code on-error} = {@code null} makes of an error. */
    static Outcome nothing() {
        return NOTHING;
    }
}
