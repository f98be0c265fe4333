package io.llamafu.llamacpp;

import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.support.AnswerText;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static java.util.Objects.requireNonNull;

/**
 * One request on its way: waiting, then in a slot being prefilled and decoded. The scheduler's thread owns it; the
 * future is the only part that others touch.
 */
final class Sequence {
    private final CompletionRequest request;
    private final int[] prompt;
    private final TokenSampler sampler;
    private final AdapterCache.Lease adapters;
    private final CompletableFuture<Completion> future;
    private final AnswerText answer;
    private final int maxTokens;
    private final long submittedNanos;

    private Slot slot;
    private int cachedTokens;
    private int computedTokens;
    private int generatedTokens;
    private int lastToken;
    private int plannedRows;
    private FinishReason finishReason;
    private long admittedNanos;
    private long firstTokenNanos;

    /**
     * A sequence that waits.
     *
     * @param maxTokens the most tokens to generate, already bounded by what the context leaves
     */
    Sequence(
            CompletionRequest request,
            int[] prompt,
            TokenSampler sampler,
            AdapterCache.Lease adapters,
            CompletableFuture<Completion> future,
            int maxTokens,
            long submittedNanos) {
        this.request = requireNonNull(request, "request is null");
        this.prompt = requireNonNull(prompt, "prompt is null");
        this.sampler = requireNonNull(sampler, "sampler is null");
        this.adapters = requireNonNull(adapters, "adapters is null");
        this.future = requireNonNull(future, "future is null");
        this.answer = new AnswerText(request.stop());
        this.maxTokens = maxTokens;
        this.submittedNanos = submittedNanos;
    }

    int[] prompt() {
        return prompt;
    }

    TokenSampler sampler() {
        return sampler;
    }

    AdapterCache.Lease adapters() {
        return adapters;
    }

    CompletableFuture<Completion> future() {
        return future;
    }

    /** When it arrived, on the clock of {@link System#nanoTime()}. */
    long submittedNanos() {
        return submittedNanos;
    }

    Slot slot() {
        return slot;
    }

    void admit(Slot admittedTo, long nowNanos) {
        slot = admittedTo;
        admittedNanos = nowNanos;
    }

    /** How many leading tokens of the prompt its slot holds and need not be computed; the last one always is. */
    int reusableTokens() {
        return Math.min(slot.commonPrefix(prompt, adapters.resolved()), prompt.length - 1);
    }

    /** Keeps that many cells of its slot, and begins after them. */
    void startAfter(int cached) {
        slot.keep(cached, adapters.resolved());
        cachedTokens = cached;
        computedTokens = cached;
    }

    boolean isPrefilling() {
        return computedTokens < prompt.length;
    }

    int computedTokens() {
        return computedTokens;
    }

    /** The token to compute next: of the prompt while prefilling, else the one sampled last. */
    int nextToken() {
        return isPrefilling() ? prompt[computedTokens] : lastToken;
    }

    /** How many of its tokens the next batch computes. */
    void planRows(int rows) {
        plannedRows = rows;
    }

    int plannedRows() {
        return plannedRows;
    }

    void countComputed() {
        computedTokens++;
    }

    /** Takes a sampled token; afterwards {@link #isFinished()} may hold. */
    void accept(int token, Vocabulary vocabulary, long nowNanos) {
        if (generatedTokens++ == 0) {
            firstTokenNanos = nowNanos;
        }
        lastToken = token;
        slot.confirm();
        if (vocabulary.isEndOfGeneration(token)) {
            finishReason = FinishReason.END_OF_GENERATION;
            return;
        }
        vocabulary.appendPiece(token, answer);
        if (answer.stopped()) {
            finishReason = FinishReason.STOP_STRING;
        } else if (generatedTokens == maxTokens) {
            finishReason = maxTokens < request.maxTokens() ? FinishReason.CONTEXT_FULL : FinishReason.MAX_TOKENS;
        }
    }

    boolean isFinished() {
        return finishReason != null;
    }

    Completion completion(long nowNanos) {
        return new Completion(
                answer.toString(),
                finishReason,
                prompt.length,
                cachedTokens,
                generatedTokens,
                adapters.resolved(),
                new Completion.Timings(
                        millisSinceSubmit(admittedNanos),
                        millisSinceSubmit(firstTokenNanos),
                        millisSinceSubmit(nowNanos)));
    }

    private double millisSinceSubmit(long nanos) {
        return (nanos - submittedNanos) / (double) TimeUnit.MILLISECONDS.toNanos(1);
    }

    /** Frees the sampler and the adapters. */
    void dispose() {
        sampler.close();
        adapters.release();
    }
}
