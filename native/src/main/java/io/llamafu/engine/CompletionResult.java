package io.llamafu.engine;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * The answer to one {@link CompletionRequest}.
 *
 * @param text the generated text, always whole characters, without the stop string
 * @param finishReason why generation ended
 * @param promptTokens tokens of the prompt, with the beginning-of-sequence token where the model has one
 * @param cachedPromptTokens how many of them came from the prefix cache instead of prefill: at most all but one, or all if
 *     the answer came from the memo, see {@link #isRemembered}
 * @param generatedTokens tokens of the answer, with the end-of-generation token
 * @param adapters the stack that answered, in the order of the request; empty for the base model
 * @param computation what else it takes to repeat the answer
 * @param timings where the time went
 */
public record CompletionResult(
        String text,
        FinishReason finishReason,
        int promptTokens,
        int cachedPromptTokens,
        int generatedTokens,
        List<AppliedAdapter> adapters,
        Computation computation,
        Timings timings) {
    public CompletionResult {
        requireNonNull(text, "text is null");
        requireNonNull(finishReason, "finishReason is null");
        adapters = List.copyOf(adapters);
        requireNonNull(computation, "computation is null");
        requireNonNull(timings, "timings is null");
    }

    /** Whether it came from the memo: the model answered an identical request. */
    public boolean isRemembered() {
        return cachedPromptTokens == promptTokens;
    }

    /** This result with a part of its text. */
    public CompletionResult withText(String newText) {
        return new CompletionResult(
                newText,
                finishReason,
                promptTokens,
                cachedPromptTokens,
                generatedTokens,
                adapters,
                computation,
                timings);
    }

    /** This result for another, identical request. */
    public CompletionResult repeated(Timings ofTheOther) {
        return new CompletionResult(
                text, finishReason, promptTokens, promptTokens, generatedTokens, adapters, computation, ofTheOther);
    }

    /**
     * How an answer was computed.
     *
     * @param modelDigest lower-case hexadecimal SHA-256 of the model file
     * @param engine the engine and what it was built from: llama.cpp's version, our changes to it, and the compiler
     * @param sampling as applied: the seed is the one that was used
     * @param maxTokens of the request
     * @param stop strings of the request
     */
    public record Computation(
            String modelDigest, String engine, SamplingOptions sampling, int maxTokens, List<String> stop) {
        public Computation {
            requireNonNull(modelDigest, "modelDigest is null");
            requireNonNull(engine, "engine is null");
            requireNonNull(sampling, "sampling is null");
            stop = List.copyOf(stop);
        }
    }

    /**
     * Milliseconds since {@link InferenceEngine#submit}. All three are equal for an answer from the memo.
     *
     * @param queueMillis until the request got a sequence slot
     * @param firstTokenMillis until its first token was sampled: the time to first token
     * @param totalMillis until it was complete
     */
    public record Timings(double queueMillis, double firstTokenMillis, double totalMillis) {}
}
