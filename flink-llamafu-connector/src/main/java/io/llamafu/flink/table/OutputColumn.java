package io.llamafu.flink.table;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.LabelScores;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.table.types.logical.BigIntType;
import org.apache.flink.table.types.logical.DoubleType;
import org.apache.flink.table.types.logical.IntType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.VarCharType;

import javax.annotation.Nullable;
import java.util.Locale;
import java.util.function.Function;

/** The parts of an outcome that SQL can read, each a column by its name in lower case. */
enum OutputColumn {
    ANSWER,
    ERROR,
    ERROR_CODE,
    FINISH_REASON,
    PROMPT_TOKENS,
    GENERATED_TOKENS,
    /** The stack that answered. */
    ADAPTERS,
    LATENCY_MS,
    /** What a later reader needs to repeat the answer, as JSON. */
    PROVENANCE,
    /** Of the label, over all labels. */
    PROBABILITY,
    RUNNER_UP,
    RUNNER_UP_PROBABILITY;

    String column() {
        return name().toLowerCase(Locale.ROOT);
    }

    LogicalType type() {
        return switch (this) {
            case ANSWER, ERROR, ERROR_CODE, FINISH_REASON, ADAPTERS, PROVENANCE, RUNNER_UP -> VarCharType.STRING_TYPE;
            case PROMPT_TOKENS, GENERATED_TOKENS -> new IntType();
            case LATENCY_MS -> new BigIntType();
            case PROBABILITY, RUNNER_UP_PROBABILITY -> new DoubleType();
        };
    }

    /** Whether it reports an error. */
    boolean isError() {
        return this == ERROR || this == ERROR_CODE;
    }

    /** A String, an Integer, a Long, a Double, or null. */
    @Nullable
    Object of(Outcome outcome) {
        CompletionResult completion = outcome.completion();
        LlamafuException error = outcome.error();
        LabelScores scores = completion == null ? null : completion.labels().orElse(null);
        return switch (this) {
            case ANSWER -> of(completion, CompletionResult::text);
            case ERROR -> of(error, LlamafuException::sentence);
            case ERROR_CODE -> of(error, known -> known.code().name());
            case FINISH_REASON -> of(completion, known -> known.finishReason().name());
            case PROMPT_TOKENS -> of(completion, CompletionResult::promptTokens);
            case GENERATED_TOKENS -> of(completion, CompletionResult::generatedTokens);
            case ADAPTERS -> of(completion, OutputColumn::stack);
            case LATENCY_MS ->
                of(completion, known -> Math.round(known.timings().totalMillis()));
            case PROVENANCE -> outcome.provenanceAsJson();
            case PROBABILITY -> of(scores, LabelScores::probability);
            case RUNNER_UP -> of(scores, known -> known.runnerUp().orElse(null));
            case RUNNER_UP_PROBABILITY -> of(scores, LabelScores::runnerUpProbability);
        };
    }

    @Nullable
    private static <T> Object of(@Nullable T source, Function<T, Object> value) {
        return source == null ? null : value.apply(source);
    }

    private static String stack(CompletionResult completion) {
        return new AdapterStack(completion.adapters().stream()
                        .map(adapter -> new AdapterStack.Entry(adapter.name(), adapter.scale()))
                        .toList())
                .toString();
    }
}
