package io.llamafu.flink.table;

import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.types.Row;

import javax.annotation.Nullable;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * {@code LLM_CLASSIFY_SCORES(text, labels [, stack [, options]]) -> ROW}: the label of {@link LlmClassify} with the same
 * options, with its probability and the label that is next. Unless the options have a {@code scoring}, it is {@code path},
 * which does not change the label.
 *
 * <pre>{@code
 * SELECT id, scores.label, scores.probability
 * FROM (SELECT id, LLM_CLASSIFY_SCORES(text, ARRAY['expense: travel', 'refund: travel'], 'finance') AS scores FROM tickets)
 * }</pre>
 */
@PublicEvolving
@FunctionHint(output = @DataTypeHint(LlmClassifyScores.ROW))
public final class LlmClassifyScores extends LlmFunction {
    private static final long serialVersionUID = 1L;

    static final String ROW = "ROW<label STRING, probability DOUBLE, runner_up STRING, runner_up_probability DOUBLE>";

    /** In the order of {@link #ROW}. */
    private static final List<OutputColumn> COLUMNS = List.of(
            OutputColumn.ANSWER, OutputColumn.PROBABILITY, OutputColumn.RUNNER_UP, OutputColumn.RUNNER_UP_PROBABILITY);

    private final RecentValues<List<String>, OutputFormat> formats = new RecentValues<>();

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmClassifyScores() {
        this(FunctionEngines.of(LlmFunctionName.LLM_CLASSIFY_SCORES));
    }

    public LlmClassifyScores(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_CLASSIFY_SCORES, options));
    }

    private LlmClassifyScores(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmClassifyScores(planned);
    }

    @Nullable
    public Row eval(@Nullable String text, @Nullable String[] labels) {
        return eval(text, labels, "");
    }

    @Nullable
    public Row eval(@Nullable String text, @Nullable String[] labels, @Nullable String stack) {
        return eval(text, labels, stack, Map.of());
    }

    @Nullable
    public Row eval(
            @Nullable String text,
            @Nullable String[] labels,
            @Nullable String stack,
            @Nullable Map<String, String> options) {
        if (labels == null) {
            return null;
        }
        Outcome outcome = ask(
                () -> formats.get(Arrays.asList(labels), known -> OutputFormat.Label.of(known, Scoring.PATH)),
                text,
                stack,
                options);
        return outcome.equals(Outcome.nothing())
                ? null
                : Row.of(COLUMNS.stream().map(column -> column.of(outcome)).toArray());
    }
}
