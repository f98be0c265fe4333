package io.llamafu.engine;

import java.util.List;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * The answer to one {@link CompletionRequest}.
 *
 * @param text the generated text, always whole characters, without the stop string
 * @param finishReason why generation ended
 * @param promptTokens tokens of the prompt, with the beginning-of-sequence token where the model has one
 * @param cachedPromptTokens how many of them came from the prefix cache instead of prefill: at most all but one, or all if
 *     the answer came from the memo, see {@link #isRemembered}
 * @param generatedTokens tokens of the answer, with the end-of-generation token if the model chose one
 * @param adapters the stack that answered, in the order of the request; empty for the base model
 * @param computation what else it takes to repeat the answer
 * @param timings where the time went
 * @param decodeSteps how often the model was asked: the decode steps from which at least one token was chosen or scored. The
 *     first is the end of the prefill. Fewer than the tokens where some were forced, as within a label
 * @param labels how probable the labels of the request are; empty without labels or with {@link LabelChoice.Scoring#NONE}
 */
public record CompletionResult(
        String text,
        FinishReason finishReason,
        int promptTokens,
        int cachedPromptTokens,
        int generatedTokens,
        List<AppliedAdapter> adapters,
        Computation computation,
        Timings timings,
        int decodeSteps,
        Optional<LabelScores> labels) {
    public CompletionResult {
        requireNonNull(text, "text is null");
        requireNonNull(finishReason, "finishReason is null");
        adapters = List.copyOf(adapters);
        requireNonNull(computation, "computation is null");
        requireNonNull(timings, "timings is null");
        requireNonNull(labels, "labels is null");
    }

    /** A result of one step for each token, and without scores of labels. */
    public CompletionResult(
            String text,
            FinishReason finishReason,
            int promptTokens,
            int cachedPromptTokens,
            int generatedTokens,
            List<AppliedAdapter> adapters,
            Computation computation,
            Timings timings) {
        this(
                text,
                finishReason,
                promptTokens,
                cachedPromptTokens,
                generatedTokens,
                adapters,
                computation,
                timings,
                generatedTokens,
                Optional.empty());
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
                timings,
                decodeSteps,
                labels);
    }

    /** This result for another, identical request. */
    public CompletionResult repeated(Timings ofTheOther) {
        return new CompletionResult(
                text,
                finishReason,
                promptTokens,
                promptTokens,
                generatedTokens,
                adapters,
                computation,
                ofTheOther,
                decodeSteps,
                labels);
    }

    /**
     * How an answer was computed.
     *
     * @param modelDigest lower-case hexadecimal SHA-256 of the model file
     * @param engine the engine and what it was built from: llama.cpp's version, our changes to it, and the compiler
     * @param sampling as applied: the seed is the one that was used
     * @param maxTokens of the request
     * @param stop strings of the request
     * @param labels of the request
     */
    public record Computation(
            String modelDigest,
            String engine,
            SamplingOptions sampling,
            int maxTokens,
            List<String> stop,
            Optional<LabelChoice> labels) {
        public Computation {
            requireNonNull(modelDigest, "modelDigest is null");
            requireNonNull(engine, "engine is null");
            requireNonNull(sampling, "sampling is null");
            stop = List.copyOf(stop);
            requireNonNull(labels, "labels is null");
        }

        /** Of a request without labels. */
        public Computation(
                String modelDigest, String engine, SamplingOptions sampling, int maxTokens, List<String> stop) {
            this(modelDigest, engine, sampling, maxTokens, stop, Optional.empty());
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
