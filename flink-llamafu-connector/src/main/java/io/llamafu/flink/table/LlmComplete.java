package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;

import javax.annotation.Nullable;
import java.util.Map;

/**
 * {@code LLM_COMPLETE(prompt [, stack [, options]]) -> STRING}: the model's answer.
 *
 * <pre>{@code
 * SELECT id, LLM_COMPLETE(text, 'medical') FROM tickets
 * }</pre>
 */
@PublicEvolving
public final class LlmComplete extends LlmFunction {
    private static final long serialVersionUID = 1L;

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmComplete() {
        this(FunctionEngines.of(LlmFunctionName.LLM_COMPLETE));
    }

    public LlmComplete(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_COMPLETE, options));
    }

    private LlmComplete(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmComplete(planned);
    }

    @Nullable
    public String eval(@Nullable String prompt) {
        return eval(prompt, "");
    }

    @Nullable
    public String eval(@Nullable String prompt, @Nullable String stack) {
        return eval(prompt, stack, Map.of());
    }

    @Nullable
    public String eval(@Nullable String prompt, @Nullable String stack, @Nullable Map<String, String> options) {
        return answer(OutputFormat.Text::new, prompt, stack, options);
    }
}
