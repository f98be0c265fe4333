package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;

import javax.annotation.Nullable;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * {@code LLM_CLASSIFY(text, labels [, stack [, options]]) -> STRING}: always one of the labels.
 *
 * <pre>{@code
 * SELECT id, LLM_CLASSIFY(text, ARRAY['expense: travel', 'refund: travel'], 'finance') FROM tickets
 * }</pre>
 */
@PublicEvolving
public final class LlmClassify extends LlmFunction {
    private static final long serialVersionUID = 1L;

    private final RecentValues<List<String>, OutputFormat> formats = new RecentValues<>();

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmClassify() {
        this(FunctionEngines.of(LlmFunctionName.LLM_CLASSIFY));
    }

    public LlmClassify(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_CLASSIFY, options));
    }

    private LlmClassify(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmClassify(planned);
    }

    @Nullable
    public String eval(@Nullable String text, @Nullable String[] labels) {
        return eval(text, labels, "");
    }

    @Nullable
    public String eval(@Nullable String text, @Nullable String[] labels, @Nullable String stack) {
        return eval(text, labels, stack, Map.of());
    }

    @Nullable
    public String eval(
            @Nullable String text,
            @Nullable String[] labels,
            @Nullable String stack,
            @Nullable Map<String, String> options) {
        return labels == null
                ? null
                : answer(() -> formats.get(Arrays.asList(labels), OutputFormat.Label::of), text, stack, options);
    }
}
