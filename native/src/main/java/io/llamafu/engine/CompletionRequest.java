package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * One prompt to answer. A request is never refused here: {@link InferenceEngine#submit} answers bad values with a coded
 * error, so that each input element has exactly one outcome.
 *
 * @param prompt the whole prompt with its template
 * @param adapters the adapters that answer it, with their scales; the empty stack is the base model
 * @param sampling how tokens are chosen
 * @param maxTokens the most tokens to generate, 1 or more
 * @param stop strings that end the answer; the answer ends before the one whose end appears first, of those
 *     that end there before the longest
 * @param timeout above zero: how long the engine may work on the request: on its adapters, and again from the moment that it has a
 *     slot. The clock stops while it waits for other requests, for a slot or for adapter memory. When the time is up, the
 *     request fails with {@link ErrorCode#DEADLINE_EXCEEDED} and its sequence is freed
 * @param patience above zero: how long after {@code submit} the request may take in total, waits included, before it fails in the same
 *     way; for callers that cannot wait for the line to move
 * @param labels makes the answer one of some texts; excludes a grammar
 */
public record CompletionRequest(
        Prompt prompt,
        AdapterStack adapters,
        SamplingOptions sampling,
        int maxTokens,
        List<String> stop,
        Duration timeout,
        Duration patience,
        Optional<LabelChoice> labels) {

    /** The default limit on generated tokens. */
    public static final int DEFAULT_MAX_TOKENS = 256;

    public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(2);

    /** Waits however long the line is. */
    public static final Duration ENDLESS_PATIENCE = Duration.ofSeconds(Long.MAX_VALUE);

    public CompletionRequest {
        requireNonNull(prompt, "prompt is null");
        requireNonNull(adapters, "adapters is null");
        requireNonNull(sampling, "sampling is null");
        stop = List.copyOf(stop);
        requireNonNull(timeout, "timeout is null");
        requireNonNull(patience, "patience is null");
        requireNonNull(labels, "labels is null");
    }

    /** A request with endless patience, and without labels. */
    public CompletionRequest(
            Prompt prompt,
            AdapterStack adapters,
            SamplingOptions sampling,
            int maxTokens,
            List<String> stop,
            Duration timeout) {
        this(prompt, adapters, sampling, maxTokens, stop, timeout, ENDLESS_PATIENCE, Optional.empty());
    }

    /** A greedy request with the default limits, whose prompt has no control tokens. */
    public static CompletionRequest of(String prompt, AdapterStack adapters) {
        return of(Prompt.text(prompt), adapters);
    }

    /** A greedy request with the default limits. */
    public static CompletionRequest of(Prompt prompt, AdapterStack adapters) {
        return new CompletionRequest(
                prompt, adapters, SamplingOptions.greedy(), DEFAULT_MAX_TOKENS, List.of(), DEFAULT_TIMEOUT);
    }

    public CompletionRequest withPrompt(Prompt newPrompt) {
        return new CompletionRequest(newPrompt, adapters, sampling, maxTokens, stop, timeout, patience, labels);
    }

    public CompletionRequest withSampling(SamplingOptions newSampling) {
        return new CompletionRequest(prompt, adapters, newSampling, maxTokens, stop, timeout, patience, labels);
    }

    public CompletionRequest withMaxTokens(int newMaxTokens) {
        return new CompletionRequest(prompt, adapters, sampling, newMaxTokens, stop, timeout, patience, labels);
    }

    public CompletionRequest withStop(String... newStop) {
        return new CompletionRequest(
                prompt, adapters, sampling, maxTokens, List.of(newStop), timeout, patience, labels);
    }

    public CompletionRequest withTimeout(Duration newTimeout) {
        return new CompletionRequest(prompt, adapters, sampling, maxTokens, stop, newTimeout, patience, labels);
    }

    public CompletionRequest withPatience(Duration newPatience) {
        return new CompletionRequest(prompt, adapters, sampling, maxTokens, stop, timeout, newPatience, labels);
    }

    public CompletionRequest withLabels(Optional<LabelChoice> newLabels) {
        return new CompletionRequest(prompt, adapters, sampling, maxTokens, stop, timeout, patience, newLabels);
    }
}
