package io.llamafu.engine;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * The answer to one {@link CompletionRequest}.
 *
 * @param text the generated text, always whole characters, without the stop string
 * @param finishReason why generation ended
 * @param promptTokens tokens of the prompt, with the beginning-of-sequence token where the model has one
 * @param cachedPromptTokens how many of them were taken from the prefix cache instead of being prefilled: all but one at
 *     the most, and all if the model was not asked, see {@link #isRemembered}
 * @param generatedTokens tokens of the answer, with the end-of-generation token
 * @param adapters the stack that answered, in the order of the request; empty for the base model
 * @param timings where the time went
 */
public record Completion(
        String text,
        FinishReason finishReason,
        int promptTokens,
        int cachedPromptTokens,
        int generatedTokens,
        List<ResolvedAdapter> adapters,
        Timings timings) {
    public Completion {
        requireNonNull(text, "text is null");
        requireNonNull(finishReason, "finishReason is null");
        adapters = List.copyOf(adapters);
        requireNonNull(timings, "timings is null");
    }

    /** Whether it is the answer to an identical request, for which the model was asked before, or just then. */
    public boolean isRemembered() {
        return cachedPromptTokens == promptTokens;
    }

    /** This answer for another request, which asks the same. */
    public Completion repeated(Timings ofTheOther) {
        return new Completion(text, finishReason, promptTokens, promptTokens, generatedTokens, adapters, ofTheOther);
    }

    /**
     * Milliseconds since {@link InferenceEngine#submit}. All three are the same if the model was not asked.
     *
     * @param queueMillis until the request got a sequence slot
     * @param firstTokenMillis until its first token was sampled: the time to first token
     * @param totalMillis until it was complete
     */
    public record Timings(double queueMillis, double firstTokenMillis, double totalMillis) {}
}
