package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;

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

    static final String NAME = "LLM_CLASSIFY";

    private transient Memo<List<String>, Task> tasks;

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmClassify() {
        this(FunctionEngines.of(NAME, null, LlamafuTableOptions.OF_LABELS));
    }

    public LlmClassify(LlamafuOptions options) {
        this(FunctionEngines.of(NAME, options, LlamafuTableOptions.OF_LABELS));
    }

    private LlmClassify(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmClassify(planned);
    }

    @Override
    void checkConstants(CallContext call) {
        ConstantArguments.checkStack(call, 2);
    }

    @Override
    public void open(FunctionContext context) {
        tasks = new Memo<>(Task.Classification::of);
        super.open(context);
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
                : ask(() -> tasks.get(Arrays.asList(labels)), text, stack, options)
                        .answer();
    }
}
