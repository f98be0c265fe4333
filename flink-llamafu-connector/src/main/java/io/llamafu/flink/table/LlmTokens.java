package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;

import javax.annotation.Nullable;
import java.util.Set;

/**
 * {@code LLM_TOKENS(text) -> INT}: how many tokens the text is as a prompt, without the {@code prompt-template}, with the
 * beginning-of-sequence token where the model has one.
 */
@PublicEvolving
public final class LlmTokens extends LlmFunction {
    private static final long serialVersionUID = 1L;

    static final String NAME = "LLM_TOKENS";

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmTokens() {
        this(FunctionEngines.of(NAME, null, Set.of()));
    }

    public LlmTokens(LlamafuOptions options) {
        this(FunctionEngines.of(NAME, options, Set.of()));
    }

    private LlmTokens(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmTokens(planned);
    }

    @Override
    void checkConstants(CallContext call) {
        // Any text can be counted.
    }

    /** A model has one tokenizer. */
    @Override
    public boolean isDeterministic() {
        return true;
    }

    @Nullable
    public Integer eval(@Nullable String text) {
        return text == null ? null : engine().countTokens(text);
    }
}
