package io.llamafu.jllama;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.support.RequestCheck;
import io.llamafu.gguf.ModelFile;
import io.llamafu.grammar.GrammarSyntax;
import io.llamafu.grammar.LabelGrammar;

import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** Refuses requests that the library would answer wrongly, or that would end the process. */
final class RequestLimits {
    /** Two adapters of alpha / rank 4 at scale 100; {@code EngineContractTest} checks that they corrupt no slot. */
    private static final double MOST_STRENGTH = 800;

    /** The names by which llama.cpp b4916 knows control tokens that end an answer. */
    private static final Set<String> END_NAMES = Set.of(
            "<|eot_id|>",
            "<|eom_id|>",
            "<|im_end|>",
            "<|end|>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<end_of_turn>",
            "<EOT>",
            "_<EOT>",
            "<|fim_pad|>",
            "<fim-pad>",
            "<fim_pad>",
            "<PAD>",
            "<|fim_repo|>",
            "<|repo_name|>",
            "<fim-repo>",
            "<REPO>",
            "<|file_sep|>");

    private final ModelFile file;
    private final int sequenceTokens;
    private final int longestToken;
    private final Set<Integer> misread;

    RequestLimits(ModelFile file, int sequenceTokens, Map<String, Integer> controlTokens) {
        this.file = file;
        this.sequenceTokens = sequenceTokens;
        this.longestToken = file.longestToken();
        this.misread = misread(file, controlTokens);
    }

    /** All but those that end the answer, which a grammar of the library allows at its end only. */
    private static Set<Integer> misread(ModelFile file, Map<String, Integer> controlTokens) {
        Set<Integer> misread = new HashSet<>();
        controlTokens.forEach((text, token) -> {
            if (!END_NAMES.contains(text) && token != file.endOfSequence()) {
                misread.add(token);
            }
        });
        return misread;
    }

    /** Control tokens that the grammar of a request takes for the characters of their names. */
    Set<Integer> unwanted(CompletionRequest request) {
        return request.sampling().grammar().isEmpty() ? Set.of() : misread;
    }

    /** The request as the library can answer it, after what can be checked before the prompt has tokens and the stack its files. */
    CompletionRequest checked(CompletionRequest request) {
        TextLimits.check(RequestCheck.utf8(request), request.prompt().toString(), sequenceTokens, longestToken);
        CompletionRequest known = withGrammarOfLabels(request);
        check(known.sampling());
        return known;
    }

    /** The library knows grammars, but neither trees of labels nor probabilities. */
    private static CompletionRequest withGrammarOfLabels(CompletionRequest request) {
        if (request.labels().isEmpty()) {
            return request;
        }
        LabelChoice choice = request.labels().get();
        if (choice.scoring() != LabelChoice.Scoring.NONE) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "scoring is '%s', but the engine %s does not know the probabilities of tokens; use the engine native, or scoring = none."
                            .formatted(choice.scoring().name().toLowerCase(Locale.ROOT), JavaLlamaCppEngine.NAME));
        }
        return request.withSampling(request.sampling().withGrammar(LabelGrammar.of(choice.labels())))
                .withMaxTokens(LabelGrammar.maxTokens(choice.labels()))
                .withStop();
    }

    /** Refuses the answer of a label that did not fit. */
    static CompletionResult whole(CompletionRequest request, CompletionResult result) {
        if (request.labels().isPresent() && result.finishReason() != FinishReason.END_OF_GENERATION) {
            throw new LlamafuException(
                    ErrorCode.PROMPT_TOO_LONG,
                    "The prompt has %d tokens, so its sequence has no room for the label that begins '%s'; shorten it or raise context-size."
                            .formatted(result.promptTokens(), result.text()));
        }
        return result;
    }

    private void check(SamplingOptions sampling) {
        if (!sampling.grammar().isEmpty()) {
            GrammarSyntax.check(sampling.grammar(), GrammarSyntax.Version.B4916);
            // llama.cpp b4916 ends the process if no token is allowed
            if (sampling.logitBias().containsValue(Float.NEGATIVE_INFINITY)) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "A grammar and a logit bias that bans tokens cannot be combined in the engine %s; use the engine native, or a finite bias."
                                .formatted(JavaLlamaCppEngine.NAME));
            }
        }
        for (int token : sampling.logitBias().keySet()) {
            if (token >= file.vocabularySize()) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "logit-bias names token %d, but the model has %d tokens."
                                .formatted(token, file.vocabularySize()));
            }
        }
    }

    /**
     * Stacks that are too strong produce infinities, which stay in the cells of a slot and corrupt all later answers.
     */
    void checkStrength(AdapterStack stack, List<AdapterFile> adapters, ModelGeneration generation) {
        double strength = 0;
        for (int i = 0; i < adapters.size(); i++) {
            AdapterFile adapter = adapters.get(i);
            strength += Math.abs(adapter.scaleOf(stack.entries().get(i))) * generation.strength(adapter);
        }
        if (strength > MOST_STRENGTH) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "The adapters %s have a strength (scale * alpha / rank, added up) of %s, but the engine %s accepts at most %s; lower their scales or use the engine native."
                            .formatted(stack, strength, JavaLlamaCppEngine.NAME, MOST_STRENGTH));
        }
    }

    void checkPrompt(int tokens) {
        if (tokens == 0) {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, "The prompt has no tokens; give it a text.");
        }
        if (tokens >= sequenceTokens) {
            throw new LlamafuException(
                    ErrorCode.PROMPT_TOO_LONG,
                    "The prompt has %d tokens, but a sequence holds %d with its answer; shorten it or raise context-size (the model was trained for %d)."
                            .formatted(tokens, sequenceTokens, file.contextLength()));
        }
    }
}
