package io.llamafu.jllama;

import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.support.AnswerText;
import io.llamafu.jllama.BoundModel.Piece;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * One request in a slot. java-llama.cpp sends a piece of text for every token, but the finish reason and token count
 * must be inferred from the pieces. Owned by one worker.
 */
final class SlotAnswer {
    private final CompletionRequest request;
    private final ModelGeneration generation;
    private final List<AppliedAdapter> resolved = new ArrayList<>();
    /** By their ids in the model. Names of one content share an id; the library would take the last of its scales. */
    private final Map<Integer, Float> scales = new LinkedHashMap<>();

    private final PromptTokenizer.Tokenized prompt;
    private final int maxTokens;
    private final int sequenceTokens;
    private final long submittedNanos;
    private final long startedNanos;
    private final AnswerText text;

    private int generatedTokens;
    private long firstTokenNanos;
    private FinishReason finishReason;

    /**
     * @param adapters of the request's stack, in its order
     * @param maxTokens of the request, or what its sequence has room for
     * @param sequenceTokens the most tokens of a sequence, including its prompt
     */
    SlotAnswer(
            CompletionRequest request,
            List<AdapterFile> adapters,
            ModelGeneration generation,
            PromptTokenizer.Tokenized prompt,
            int maxTokens,
            int sequenceTokens,
            long submittedNanos,
            long startedNanos) {
        this.request = request;
        this.generation = generation;
        this.prompt = prompt;
        this.maxTokens = maxTokens;
        this.sequenceTokens = sequenceTokens;
        this.submittedNanos = submittedNanos;
        this.startedNanos = startedNanos;
        this.text = new AnswerText(request.stop());
        for (int i = 0; i < adapters.size(); i++) {
            AdapterStack.Entry entry = request.adapters().entries().get(i);
            AdapterFile adapter = adapters.get(i);
            float scale = adapter.scaleOf(entry);
            resolved.add(new AppliedAdapter(entry.name(), scale, adapter.digest()));
            scales.merge(generation.id(adapter), scale, Float::sum);
        }
    }

    /**
     * Sends the request and reads its answer; false if the future was completed meanwhile and the rest was dropped.
     *
     * @param unwanted tokens to take only if the grammar allows no others
     */
    boolean receiveAll(int slot, Collection<Integer> unwanted, CompletableFuture<CompletionResult> future) {
        BoundModel model = generation.model();
        int task = model.request(
                CompletionJson.write(request, prompt.json(), scales, slot, maxTokens, sequenceTokens, unwanted));
        boolean lastHadText = true;
        while (true) {
            Piece piece = model.receive(task);
            if (piece.last()) {
                finish(lastHadText);
                return true;
            }
            accept(piece);
            lastHadText = !piece.text().isEmpty();
            if (text.stopped()) {
                model.cancel(task, slot);
                finishReason = FinishReason.STOP_STRING;
                return true;
            }
            if (future.isDone()) {
                model.cancel(task, slot);
                return false;
            }
        }
    }

    private void accept(Piece piece) {
        if (generatedTokens++ == 0) {
            firstTokenNanos = System.nanoTime();
        }
        byte[] bytes = piece.text().getBytes(UTF_8);
        text.append(bytes, 0, bytes.length);
    }

    /**
     * An end-of-generation token has no text; otherwise a limit ended the answer. Tokens within a character send no
     * piece, so only in the second case is the count exact.
     */
    private void finish(boolean lastHadText) {
        if (firstTokenNanos == 0) {
            firstTokenNanos = System.nanoTime();
        }
        if (lastHadText) {
            generatedTokens = maxTokens;
            finishReason = maxTokens < request.maxTokens() ? FinishReason.CONTEXT_FULL : FinishReason.MAX_TOKENS;
        } else {
            finishReason = FinishReason.END_OF_GENERATION;
        }
    }

    int generatedTokens() {
        return generatedTokens;
    }

    CompletionResult completion() {
        return new CompletionResult(
                text.toString(),
                finishReason,
                prompt.tokens(),
                0,
                generatedTokens,
                resolved,
                new CompletionResult.Computation(
                        generation.modelDigest(),
                        JavaLlamaCppEngine.BUILD,
                        request.sampling().effective(sequenceTokens),
                        request.maxTokens(),
                        request.stop(),
                        request.labels()),
                new CompletionResult.Timings(
                        millisSinceSubmit(startedNanos),
                        millisSinceSubmit(firstTokenNanos),
                        millisSinceSubmit(System.nanoTime())));
    }

    private double millisSinceSubmit(long nanos) {
        return (nanos - submittedNanos) / (double) TimeUnit.MILLISECONDS.toNanos(1);
    }
}
