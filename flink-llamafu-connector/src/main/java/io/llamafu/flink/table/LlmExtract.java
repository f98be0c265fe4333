package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.UserDefinedFunction;

import javax.annotation.Nullable;
import java.util.Map;

/**
 * {@code LLM_EXTRACT(text, json_schema [, stack [, options]]) -> STRING}: JSON of that schema. An answer that {@code
 * max-tokens} ends before its JSON is closed is the error {@code ANSWER_INCOMPLETE}.
 */
@PublicEvolving
public final class LlmExtract extends LlmFunction {
    private static final long serialVersionUID = 1L;

    private final RecentValues<String, OutputFormat> formats = new RecentValues<>();

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmExtract() {
        this(FunctionEngines.of(LlmFunctionName.LLM_EXTRACT));
    }

    public LlmExtract(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_EXTRACT, options));
    }

    private LlmExtract(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmExtract(planned);
    }

    @Nullable
    public String eval(@Nullable String text, @Nullable String schema) {
        return eval(text, schema, "");
    }

    @Nullable
    public String eval(@Nullable String text, @Nullable String schema, @Nullable String stack) {
        return eval(text, schema, stack, Map.of());
    }

    @Nullable
    public String eval(
            @Nullable String text,
            @Nullable String schema,
            @Nullable String stack,
            @Nullable Map<String, String> options) {
        return schema == null ? null : answer(() -> formats.get(schema, OutputFormat.Json::of), text, stack, options);
    }
}
