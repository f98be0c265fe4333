package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult.Timings;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.options.ChatOptions;
import io.llamafu.flink.routing.PromptParts;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.flink.routing.Samplings;

import javax.annotation.Nullable;

/**
 * The question of a routed record.
 *
 * @param record as routed
 * @param options of the job
 * @param sampling for records without their own
 */
record RecordQuestion(RoutedRequest record, LlamafuOptions options, SamplingOptions sampling) implements Question {

    @Override
    public CompletionRequest request() {
        if (record.getErrorCode() != null) {
            throw new LlamafuException(ErrorCode.valueOf(record.getErrorCode()), record.getError());
        }
        AdapterStack stack = AdapterStack.parse(record.getStack());
        if (record.getScales() != null) {
            stack = stack.withScales(record.getScales());
        }
        SamplingOptions chosen = record.getSampling() == null ? sampling : Samplings.toOptions(record.getSampling());
        CompletionRequest request =
                options.toRequest(PromptParts.read(record, options.promptTemplate()), stack, chosen);
        if (record.getMaxTokens() != null) {
            request = request.withMaxTokens(record.getMaxTokens());
        }
        return record.getLabels() == null
                ? request
                : options.labels()
                        .apply(request, record.getLabels(), options.labels().scoring());
    }

    @Override
    public String promptTemplateDigest() {
        return options.promptTemplate().digest();
    }

    @Override
    public boolean promptInOutput() {
        return options.promptInOutput();
    }

    @Override
    public ChatOptions chat() {
        return options.chat();
    }

    @Override
    public OnError onError() {
        return options.onError();
    }

    @Override
    public String subject() {
        String id = record.getId() == null ? "A record" : "The record with id '%s'".formatted(record.getId());
        return record.getKey() == null ? id : id + " of key '%s'".formatted(record.getKey());
    }

    /** The output record of an outcome. */
    Completion completion(Outcome outcome) {
        Completion.Builder completion = Completion.newBuilder()
                .setId(record.getId())
                .setKey(record.getKey())
                .setPrompt(prompt(outcome))
                .setStack(record.getStack())
                .setEventTime(record.getEventTime())
                .setProvenance(outcome.provenance());
        if (outcome.completion() != null) {
            setAnswer(completion, outcome.completion());
        }
        if (outcome.error() != null) {
            completion
                    .setErrorCode(outcome.error().code().name())
                    .setError(outcome.error().sentence());
        }
        return completion.build();
    }

    /** A record that cannot be asked has at most what its template made of it. */
    @Nullable
    private String prompt(Outcome outcome) {
        String inOutput = outcome.prompt() == null ? record.getPrompt() : outcome.prompt();
        return options.promptInOutput() ? inOutput : null;
    }

    private static void setAnswer(Completion.Builder completion, io.llamafu.engine.CompletionResult answer) {
        Timings timings = answer.timings();
        completion
                .setText(answer.text())
                .setFinishReason(answer.finishReason().name())
                .setAdapters(Provenances.adapters(answer))
                .setPromptTokens(answer.promptTokens())
                .setCachedPromptTokens(answer.cachedPromptTokens())
                .setGeneratedTokens(answer.generatedTokens())
                .setQueueMillis(timings.queueMillis())
                .setFirstTokenMillis(timings.firstTokenMillis())
                .setTotalMillis(timings.totalMillis())
                .setDecodeSteps(answer.decodeSteps());
        answer.labels().ifPresent(scores -> completion
                .setLabel(scores.label())
                .setProbability(scores.probability())
                .setRunnerUp(scores.runnerUp().orElse(null))
                .setRunnerUpProbability(scores.runnerUpProbability()));
    }
}
