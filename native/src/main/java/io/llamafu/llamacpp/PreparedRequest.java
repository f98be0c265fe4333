package io.llamafu.llamacpp;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.support.AnswerText;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static java.util.Objects.requireNonNull;

/**
 * A request that is ready to be computed: its {@link Sequence} with the sampler and the adapters that it holds, and the
 * future that gets the answer. The thread of the {@link DecodeLoop} owns it; others touch the future only.
 */
final class PreparedRequest {
    private final CompletionRequest request;
    private final Sequence sequence;
    private final TokenSampler sampler;
    private final AdapterCache.Lease adapters;
    private final CompletionResult.Computation computation;
    private final CompletableFuture<CompletionResult> future;
    private final AnswerText answer;

    private FinishReason finishReason;

    PreparedRequest(
            CompletionRequest request,
            Sequence sequence,
            TokenSampler sampler,
            AdapterCache.Lease adapters,
            CompletionResult.Computation computation,
            CompletableFuture<CompletionResult> future) {
        this.request = requireNonNull(request, "request is null");
        this.sequence = requireNonNull(sequence, "sequence is null");
        this.sampler = requireNonNull(sampler, "sampler is null");
        this.adapters = requireNonNull(adapters, "adapters is null");
        this.computation = requireNonNull(computation, "computation is null");
        this.future = requireNonNull(future, "future is null");
        this.answer = new AnswerText(request.stop());
    }

    CompletionRequest request() {
        return request;
    }

    Sequence sequence() {
        return sequence;
    }

    TokenSampler sampler() {
        return sampler;
    }

    AdapterCache.Lease adapters() {
        return adapters;
    }

    CompletableFuture<CompletionResult> future() {
        return future;
    }

    /** Accepts a sampled token; afterwards {@link #isFinished()} may be true. */
    void accept(int token, Vocabulary vocabulary, long nowNanos) {
        sequence.accept(token, nowNanos);
        if (vocabulary.isEndOfGeneration(token)) {
            finishReason = FinishReason.END_OF_GENERATION;
            return;
        }
        vocabulary.appendPiece(token, answer);
        if (answer.stopped()) {
            finishReason = FinishReason.STOP_STRING;
        } else if (sequence.isFull()) {
            finishReason =
                    sequence.maxTokens() < request.maxTokens() ? FinishReason.CONTEXT_FULL : FinishReason.MAX_TOKENS;
        }
    }

    boolean isFinished() {
        return finishReason != null;
    }

    CompletionResult result(long nowNanos) {
        return new CompletionResult(
                answer.toString(),
                finishReason,
                sequence.prompt().length,
                sequence.cachedTokens(),
                sequence.generatedTokens(),
                sequence.stack(),
                computation,
                new CompletionResult.Timings(
                        millisSinceSubmit(sequence.admittedNanos()),
                        millisSinceSubmit(sequence.firstTokenNanos()),
                        millisSinceSubmit(nowNanos)));
    }

    private double millisSinceSubmit(long nanos) {
        return (nanos - sequence.submittedNanos()) / (double) TimeUnit.MILLISECONDS.toNanos(1);
    }

    /** Frees the sampler and the adapters. */
    void dispose() {
        sampler.close();
        adapters.release();
    }
}
