package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;

import javax.annotation.Nullable;
import java.util.Map;
import java.util.Set;

/**
 * {@code LLM_COMPLETE(prompt [, stack [, options]]) -> STRING}: what the model answers.
 *
 * <pre>{@code
 * SELECT id, LLM_COMPLETE(text, 'medical') FROM tickets
 * }</pre>
 */
@PublicEvolving
public final class LlmComplete extends LlmFunction {
    private static final long serialVersionUID = 1L;

    static final String NAME = "LLM_COMPLETE";

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmComplete() {
        this(FunctionEngines.of(NAME, null, Set.of()));
    }

    public LlmComplete(LlamafuOptions options) {
        this(FunctionEngines.of(NAME, options, Set.of()));
    }

    private LlmComplete(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmComplete(planned);
    }

    @Override
    void checkConstants(CallContext call) {
        ConstantArguments.checkStack(call, 1);
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
        return ask(Task.Generation::new, prompt, stack, options).answer();
    }
}
