package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.completion.ChatFormats;

import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;

/**
 * Asks a stack for texts whose answers are known, as a job with these options would.
 *
 * @param chats of the engine's model
 */
record AdapterTrial(InferenceEngine engine, ChatFormats chats, LlamafuOptions options, List<LabelledText> texts) {

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
        return new AdapterTrial(engine, chats, options, first).run(AdapterStack.parse(""));
    }

    Score run(AdapterStack stack) {
        List<CompletableFuture<CompletionResult>> answers = texts.stream()
                .map(text -> engine.submit(request(text.text(), stack)))
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

    private CompletionRequest request(String text, AdapterStack stack) {
        CompletionRequest request = options.toRequest(options.promptTemplate().render(text), stack, options.sampling());
        return chats.of(options.chat(), request.prompt())
                .map(format -> format.apply(request))
                .orElse(request);
    }
}
