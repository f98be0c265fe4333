package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;

import javax.annotation.Nullable;

/**
 * {@code LLM_TOKENS(text) -> INT}: the number of tokens of the text as a prompt, without the {@code prompt-template}
 * and including the beginning-of-sequence token if the model has one.
 */
@PublicEvolving
public final class LlmTokens extends LlmFunction {
    private static final long serialVersionUID = 1L;

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmTokens() {
        this(FunctionEngines.of(LlmFunctionName.LLM_TOKENS));
    }

    public LlmTokens(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_TOKENS, options));
    }

    private LlmTokens(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmTokens(planned);
    }

    /** A model has one tokenizer. */
    @Override
    public boolean isDeterministic() {
        return true;
    }

    @Nullable
    public Integer eval(@Nullable String text) {
        return text == null ? null : countTokens(text);
    }
}
