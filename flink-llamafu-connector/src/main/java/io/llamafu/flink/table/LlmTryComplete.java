package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.types.Row;

import javax.annotation.Nullable;
import java.util.List;
import java.util.Map;

/**
 * {@code LLM_TRY_COMPLETE(prompt [, stack [, options]]) -> ROW}: like {@link LlmComplete}, but errors are part of the
 * row, whatever {@code on-error} says.
 */
@PublicEvolving
@FunctionHint(output = @DataTypeHint(LlmTryComplete.ROW))
public final class LlmTryComplete extends LlmFunction {
    private static final long serialVersionUID = 1L;

    static final String ROW = "ROW<answer STRING, error STRING, error_code STRING, finish_reason STRING,"
            + " prompt_tokens INT, generated_tokens INT, adapters STRING>";

    /** In the order of {@link #ROW}. */
    private static final List<OutputColumn> COLUMNS = List.of(
            OutputColumn.ANSWER,
            OutputColumn.ERROR,
            OutputColumn.ERROR_CODE,
            OutputColumn.FINISH_REASON,
            OutputColumn.PROMPT_TOKENS,
            OutputColumn.GENERATED_TOKENS,
            OutputColumn.ADAPTERS);

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmTryComplete() {
        this(FunctionEngines.of(LlmFunctionName.LLM_TRY_COMPLETE));
    }

    public LlmTryComplete(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_TRY_COMPLETE, options));
    }

    private LlmTryComplete(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmTryComplete(planned);
    }

    @Nullable
    public Row eval(@Nullable String prompt) {
        return eval(prompt, "");
    }

    @Nullable
    public Row eval(@Nullable String prompt, @Nullable String stack) {
        return eval(prompt, stack, Map.of());
    }

    @Nullable
    public Row eval(@Nullable String prompt, @Nullable String stack, @Nullable Map<String, String> options) {
        Outcome outcome = ask(OutputFormat.Text::new, prompt, stack, options);
        return outcome.equals(Outcome.nothing())
                ? null
                : Row.of(COLUMNS.stream().map(column -> column.of(outcome)).toArray());
    }
}
