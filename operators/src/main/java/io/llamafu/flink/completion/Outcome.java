package io.llamafu.flink.completion;

import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionResult;
import io.llamafu.flink.Provenance;
import org.apache.flink.annotation.Internal;

import javax.annotation.Nullable;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The outcome of a question: a completion with its provenance, an error, or neither with {@code on-error} = {@code null}.
 *
 * @param prompt as the model got it; null unless {@code prompt-in-output} is set
 */
@Internal
public record Outcome(
        @Nullable CompletionResult completion,
        @Nullable Provenance provenance,
        @Nullable LlamafuException error,
        @Nullable String prompt) {

    private static final Outcome NOTHING = new Outcome(null, null, null, null);

    public static Outcome answered(CompletionResult completion, Provenance provenance) {
        return new Outcome(
                checkNotNull(completion, "completion is null"),
                checkNotNull(provenance, "provenance is null"),
                null,
                null);
    }

    public static Outcome failed(LlamafuException error) {
        return new Outcome(null, null, checkNotNull(error, "error is null"), null);
    }

    /**
     * What a later reader needs to repeat the answer, as a JSON object: the provenance with the adapters, and with the prompt
     * if that is asked for. Null if there is no answer.
     */
    @Nullable
    public String provenanceAsJson() {
        return provenance == null ? null : Provenances.json(this);
    }

    Outcome withPrompt(String asked) {
        return new Outcome(completion, provenance, error, asked);
    }

    public static Outcome nothing() {
        return NOTHING;
    }
}
