package io.llamafu.flink.completion;

import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionResult;
import org.apache.flink.annotation.Internal;

import javax.annotation.Nullable;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** The outcome of a question: a completion, an error, or neither with {@code on-error} = {@code null}. */
@Internal
public record Outcome(@Nullable CompletionResult completion, @Nullable LlamafuException error) {

    private static final Outcome NOTHING = new Outcome(null, null);

    public static Outcome answered(CompletionResult completion) {
        return new Outcome(checkNotNull(completion, "completion is null"), null);
    }

    public static Outcome failed(LlamafuException error) {
        return new Outcome(null, checkNotNull(error, "error is null"));
    }

    public static Outcome nothing() {
        return NOTHING;
    }
}
