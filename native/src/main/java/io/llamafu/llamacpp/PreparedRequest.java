package io.llamafu.llamacpp;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.support.AnswerText;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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
    private final int[] promptTokens;
    private final Optional<LabelDecoding> labels;

    private FinishReason finishReason;
    private Optional<LabelDecoding.Chosen> chosen = Optional.empty();
    private int countedTokens;

    /**
     * A request that waits.
     *
     * @param promptTokens of the prompt alone, which those of its sequence may differ from
     * @param labels how its label is chosen; empty if it is answered with a text
     */
    PreparedRequest(
            CompletionRequest request,
            int[] promptTokens,
            Optional<LabelDecoding> labels,
            Sequence sequence,
            TokenSampler sampler,
            AdapterCache.Lease adapters,
            CompletionResult.Computation computation,
            CompletableFuture<CompletionResult> future) {
        this.request = requireNonNull(request, "request is null");
        this.promptTokens = requireNonNull(promptTokens, "promptTokens is null");
        this.labels = requireNonNull(labels, "labels is null");
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

    int[] promptTokens() {
        return promptTokens;
    }

    Sequence sequence() {
        return sequence;
    }

    TokenSampler sampler() {
        return sampler;
    }

    /** The adapters that compute the next token of the sequence. */
    List<ScaledAdapter> nextAdapters() {
        List<ScaledAdapter> next = new ArrayList<>();
        for (int place = 0; place < adapters.scaled().size(); place++) {
            if (sequence.spans().applies(place, sequence.computedTokens())) {
                next.add(adapters.scaled().get(place));
            }
        }
        return next;
    }

    CompletableFuture<CompletionResult> future() {
        return future;
    }

    /** Whether its tokens are sampled from the whole vocabulary; otherwise {@link #readLabels} chooses them. */
    boolean isSampled() {
        return labels.isEmpty();
    }

    /** Reads the rows of the last step; afterwards {@link #isFinished()} may be true. */
    void readLabels(LlamaContext context, long nowNanos) {
        chosen = labels.orElseThrow().read(sequence, context, nowNanos);
        if (chosen.isPresent()) {
            finishReason = FinishReason.END_OF_GENERATION;
        }
    }

    /**
     * Appends the text that the answer begins with in any case, so that it is computed with the prompt. Not with stop strings,
     * for one of them could end the answer before it has begun.
     */
    void begin(Vocabulary vocabulary) {
        if (isSampled() && request.stop().isEmpty()) {
            for (int token : sampler.takeForced(sequence.maxTokens() - 1)) {
                if (!vocabulary.isEndOfGeneration(token)) { // which the first step will choose
                    vocabulary.appendPiece(token, answer);
                    sequence.append(token);
                }
            }
        }
    }

    /** Accepts a sampled token, and those that it forces; afterwards {@link #isFinished()} may be true. */
    void accept(int token, Vocabulary vocabulary, long nowNanos) {
        sequence.confirm(nowNanos);
        take(token, vocabulary);
        if (!isFinished()) {
            for (int forced : sampler.takeForced(Integer.MAX_VALUE)) {
                take(forced, vocabulary);
                if (isFinished()) {
                    return;
                }
            }
        }
    }

    private void take(int token, Vocabulary vocabulary) {
        sequence.append(token);
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
                chosen.map(this::label).orElseGet(answer::toString),
                finishReason,
                promptTokens.length,
                // the sequence of a label begins with what all labels have in common
                Math.min(sequence.cachedTokens(), promptTokens.length - 1),
                generatedTokens(),
                sequence.stack(),
                computation,
                new CompletionResult.Timings(
                        millisSinceSubmit(sequence.admittedNanos()),
                        millisSinceSubmit(sequence.firstTokenNanos()),
                        millisSinceSubmit(nowNanos)),
                sequence.decodeSteps(),
                chosen.flatMap(LabelDecoding.Chosen::scores));
    }

    private String label(LabelDecoding.Chosen label) {
        LabelChoice choice = request.labels().orElseThrow();
        return label.scores().map(choice::answer).orElseGet(() -> choice.labels()
                .get(label.label()));
    }

    /** Tokens of the answer so far; those of a label once it is chosen. */
    private int generatedTokens() {
        return isSampled()
                ? sequence.generatedTokens()
                : chosen.map(LabelDecoding.Chosen::tokens).orElse(0);
    }

    /** How many tokens the answer has got since the last call. */
    int countNewTokens() {
        int before = countedTokens;
        countedTokens = generatedTokens();
        return countedTokens - before;
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
