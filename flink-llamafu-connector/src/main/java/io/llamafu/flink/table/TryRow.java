package io.llamafu.flink.table;

import org.apache.flink.types.Row;

import javax.annotation.Nullable;
import java.util.List;

/** The row of {@code LLM_TRY_COMPLETE}. */
final class TryRow {
    static final String TYPE = "ROW<answer STRING, error STRING, error_code STRING, finish_reason STRING,"
            + " prompt_tokens INT, generated_tokens INT, adapters STRING>";

    /** In the order of {@link #TYPE}. */
    private static final List<OutputColumn> COLUMNS = List.of(
            OutputColumn.ANSWER,
            OutputColumn.ERROR,
            OutputColumn.ERROR_CODE,
            OutputColumn.FINISH_REASON,
            OutputColumn.PROMPT_TOKENS,
            OutputColumn.GENERATED_TOKENS,
            OutputColumn.ADAPTERS);

    private TryRow() {}

    /** NULL if nothing was asked. */
    @Nullable
    static Row of(Outcome outcome) {
        return outcome.completion() == null && outcome.error() == null
                ? null
                : Row.of(COLUMNS.stream().map(column -> column.of(outcome)).toArray());
    }
}
