package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** What becomes of the text in which a model thinks before it answers. */
public enum Thinking {
    /** The answer is what the model wrote. */
    KEEP,
    /** The model thinks if its template says so, and the answer is what follows. */
    DROP,
    /** The template is told not to let the model think; if it thinks nevertheless, as with {@link #DROP}. */
    OFF;

    private static final Map<String, String> BLOCKS = blocks();

    private static Map<String, String> blocks() {
        Map<String, String> blocks = new LinkedHashMap<>();
        blocks.put("<think>", "</think>");
        blocks.put("<thinking>", "</thinking>");
        blocks.put("<seed:think>", "</seed:think>");
        blocks.put("<|START_THINKING|>", "<|END_THINKING|>");
        blocks.put("[THINK]", "[/THINK]");
        return blocks;
    }

    /** The value of the template's variables; empty leaves them undefined. */
    Optional<Boolean> variable() {
        return this == OFF ? Optional.of(false) : Optional.empty();
    }

    /**
     * A result as the user should see it. An answer that is a label or follows a grammar has no thinking before it.
     *
     * @throws LlamafuException with {@link ErrorCode#ANSWER_INCOMPLETE} if the model has not finished thinking
     */
    public CompletionResult apply(CompletionRequest request, CompletionResult result) {
        if (request.labels().isPresent() || !request.sampling().grammar().isEmpty()) {
            return result;
        }
        String answer = answer(request.prompt().toString(), result.text())
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.ANSWER_INCOMPLETE,
                        "The model was still thinking after %d tokens; raise max-tokens, or set thinking = off."
                                .formatted(result.generatedTokens())));
        return answer.equals(result.text()) ? result : result.withText(answer);
    }

    /**
     * The answer without the thinking at its beginning.
     *
     * @param prompt which may have opened the block already
     * @return empty if the block does not end, so that there is no answer
     */
    Optional<String> answer(String prompt, String text) {
        if (this == KEEP) {
            return Optional.of(text);
        }
        String rest = text;
        Optional<String> end = endOfBlockThatEnds(prompt.stripTrailing());
        if (end.isEmpty()) {
            end = endOfBlockThatBegins(rest.stripLeading());
        }
        while (end.isPresent()) {
            int index = rest.indexOf(end.get());
            if (index < 0) {
                return Optional.empty();
            }
            rest = rest.substring(index + end.get().length()).stripLeading();
            end = endOfBlockThatBegins(rest);
        }
        return Optional.of(rest);
    }

    private static Optional<String> endOfBlockThatEnds(String prompt) {
        return BLOCKS.entrySet().stream()
                .filter(block -> prompt.endsWith(block.getKey()))
                .map(Map.Entry::getValue)
                .findFirst();
    }

    private static Optional<String> endOfBlockThatBegins(String text) {
        return BLOCKS.entrySet().stream()
                .filter(block -> text.startsWith(block.getKey()))
                .map(Map.Entry::getValue)
                .findFirst();
    }
}
