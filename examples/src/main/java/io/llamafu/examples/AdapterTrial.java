package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.PromptTemplate;

import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;

/**
 * Asks a stack for texts whose answers are known.
 *
 * @param maxTokens of an answer
 */
record AdapterTrial(InferenceEngine engine, PromptTemplate template, int maxTokens, List<LabelledText> texts) {

    /**
     * The result of a stack.
     *
     * @param right answers that are exactly as expected, apart from blanks around them
     * @param all answers
     * @param tokenMillis of each token after the first, of one sequence; NaN if no answer has two
     */
    record Score(int right, int all, double tokenMillis) {
        double share() {
            return (double) right / all;
        }

        @Override
        public String toString() {
            return String.format(
                    Locale.ROOT, "%d of %d right (%.1f %%), %.3f ms per token", right, all, 100 * share(), tokenMillis);
        }
    }

    /** The first steps of an engine are slower. */
    Score warmUp(int count) {
        List<LabelledText> first = texts.subList(0, Math.min(count, texts.size()));
        return new AdapterTrial(engine, template, maxTokens, first).run(AdapterStack.parse(""));
    }

    Score run(AdapterStack stack) {
        List<CompletableFuture<CompletionResult>> answers = texts.stream()
                .map(text -> engine.submit(CompletionRequest.of(template.render(text.text()), stack)
                        .withMaxTokens(maxTokens)))
                .toList();
        int right = 0;
        double millis = 0;
        long tokens = 0;
        for (int i = 0; i < texts.size(); i++) {
            CompletionResult answer = answers.get(i).join();
            right += answer.text().strip().equals(texts.get(i).expected().strip()) ? 1 : 0;
            millis += answer.timings().totalMillis() - answer.timings().firstTokenMillis();
            tokens += answer.generatedTokens() - 1;
        }
        return new Score(right, texts.size(), tokens == 0 ? Double.NaN : millis / tokens);
    }
}
