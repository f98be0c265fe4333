package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.FinishReason;
import io.llamafu.grammar.JsonSchemaGrammar;
import io.llamafu.grammar.LabelGrammar;

import java.io.Serializable;
import java.util.List;

/** What is asked of the model, and what of its answer counts. */
sealed interface Task extends Serializable {

    CompletionRequest request(CallSettings settings, String prompt, AdapterStack stack);

    /**
     * The answer that the completion holds.
     *
     * @throws LlamafuException with ANSWER_INCOMPLETE if it ended too early to be one
     */
    String answer(Completion completion);

    /** Answers with whatever the model says. */
    record Generation() implements Task {
        @Override
        public CompletionRequest request(CallSettings settings, String prompt, AdapterStack stack) {
            return settings.request(prompt, stack);
        }

        @Override
        public String answer(Completion completion) {
            return completion.text();
        }
    }

    /**
     * Answers with a label.
     *
     * @param labels one or more
     * @param grammar that allows these and nothing else
     * @param maxTokens what the longest label can need
     */
    record Classification(List<String> labels, String grammar, int maxTokens) implements Task {
        static Classification of(List<String> labels) {
            String grammar = LabelGrammar.of(labels);
            return new Classification(List.copyOf(labels), grammar, LabelGrammar.maxTokens(labels));
        }

        @Override
        public CompletionRequest request(CallSettings settings, String prompt, AdapterStack stack) {
            return settings.request(prompt, stack)
                    .withSampling(settings.sampling().withGrammar(grammar))
                    .withMaxTokens(maxTokens)
                    .withStop();
        }

        @Override
        public String answer(Completion completion) {
            if (!labels.contains(completion.text())) {
                throw new LlamafuException(
                        ErrorCode.ANSWER_INCOMPLETE,
                        "The answer '%s' ended before it was one of the labels (%s); shorten the text or raise context-size."
                                .formatted(completion.text(), completion.finishReason()));
            }
            return completion.text();
        }
    }

    /**
     * Answers with JSON.
     *
     * @param grammar of the JSON Schema
     */
    record Extraction(String grammar) implements Task {
        static Extraction of(String schema) {
            return new Extraction(JsonSchemaGrammar.of(schema));
        }

        @Override
        public CompletionRequest request(CallSettings settings, String prompt, AdapterStack stack) {
            return settings.request(prompt, stack)
                    .withSampling(settings.sampling().withGrammar(grammar))
                    .withStop();
        }

        @Override
        public String answer(Completion completion) {
            if (completion.finishReason() != FinishReason.END_OF_GENERATION) {
                throw new LlamafuException(
                        ErrorCode.ANSWER_INCOMPLETE,
                        "The JSON is not complete after %d tokens (%s): raise max-tokens, or limit the schema with maxLength and maxItems. It begins: %s"
                                .formatted(completion.generatedTokens(), completion.finishReason(), completion.text()));
            }
            return completion.text();
        }
    }
}
