package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.engine.Prompt;
import io.llamafu.flink.options.LabelOptions;
import io.llamafu.grammar.JsonSchemaGrammar;
import io.llamafu.grammar.LabelGrammar;

import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The required form of an answer: any text, a label, or JSON. */
sealed interface OutputFormat extends Serializable {

    CompletionRequest request(CallSettings settings, Prompt prompt, AdapterStack stack);

    /**
     * Checks that an answer is complete.
     *
     * @throws LlamafuException with ANSWER_INCOMPLETE if it ended too early to have this format
     */
    void check(CompletionResult answer);

    /** Any text. */
    record Text() implements OutputFormat {
        @Override
        public CompletionRequest request(CallSettings settings, Prompt prompt, AdapterStack stack) {
            return settings.request(prompt, stack);
        }

        @Override
        public void check(CompletionResult answer) {}
    }

    /**
     * One of the labels, or with {@code multi-label} a subset of them.
     *
     * @param labels one or more
     * @param scoring unless the options have one
     */
    record Label(List<String> labels, Scoring scoring) implements OutputFormat {
        static Label of(List<String> labels) {
            return of(labels, Scoring.NONE);
        }

        static Label of(List<String> labels, Scoring scoring) {
            Set<String> unused = LabelGrammar.distinct(labels);
            LabelOptions.requireSeparated(labels, ErrorCode.INVALID_REQUEST);
            return new Label(List.copyOf(labels), scoring);
        }

        @Override
        public CompletionRequest request(CallSettings settings, Prompt prompt, AdapterStack stack) {
            LabelOptions options = settings.options().labels();
            if (options.multiLabel() && scoring != Scoring.NONE) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "multi-label is true, but subsets of labels have no probabilities; use LLM_CLASSIFY.");
            }
            Scoring chosen = options.scoring() == Scoring.NONE ? scoring : options.scoring();
            return options.apply(settings.request(prompt, stack), labels, chosen);
        }

        @Override
        public void check(CompletionResult answer) {
            if (answer.finishReason() != FinishReason.END_OF_GENERATION) {
                throw new LlamafuException(
                        ErrorCode.ANSWER_INCOMPLETE,
                        "The answer '%s' ended before it was one of the labels (%s); shorten the text or raise context-size."
                                .formatted(answer.text(), answer.finishReason()));
            }
        }
    }

    /**
     * JSON.
     *
     * @param grammar of the JSON Schema
     */
    record Json(String grammar) implements OutputFormat {
        static Json of(String schema) {
            return new Json(JsonSchemaGrammar.of(schema));
        }

        @Override
        public CompletionRequest request(CallSettings settings, Prompt prompt, AdapterStack stack) {
            return settings.request(prompt, stack)
                    .withLabels(Optional.empty())
                    .withSampling(settings.sampling().withGrammar(grammar))
                    .withStop();
        }

        @Override
        public void check(CompletionResult answer) {
            if (answer.finishReason() != FinishReason.END_OF_GENERATION) {
                throw new LlamafuException(
                        ErrorCode.ANSWER_INCOMPLETE,
                        "The JSON is not complete after %d tokens (%s): raise max-tokens, or limit the schema with maxLength and maxItems. It begins: %s"
                                .formatted(answer.generatedTokens(), answer.finishReason(), answer.text()));
            }
        }
    }
}
