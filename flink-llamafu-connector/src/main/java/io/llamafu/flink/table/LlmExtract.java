package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;

import javax.annotation.Nullable;
import java.util.Map;

/**
 * {@code LLM_EXTRACT(text, json_schema [, stack [, options]]) -> STRING}: JSON of that schema. An answer that {@code
 * max-tokens} ends before its JSON is closed is the error {@code ANSWER_INCOMPLETE}.
 */
@PublicEvolving
public final class LlmExtract extends LlmFunction {
    private static final long serialVersionUID = 1L;

    static final String NAME = "LLM_EXTRACT";

    private transient Memo<String, Task> tasks;

    /** For {@code CREATE FUNCTION}: the options are the job parameters {@code llamafu.*}. */
    public LlmExtract() {
        this(FunctionEngines.of(NAME, null, LlamafuTableOptions.OF_A_SCHEMA));
    }

    public LlmExtract(LlamafuOptions options) {
        this(FunctionEngines.of(NAME, options, LlamafuTableOptions.OF_A_SCHEMA));
    }

    private LlmExtract(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new LlmExtract(planned);
    }

    @Override
    void checkConstants(CallContext call) {
        ConstantArguments.checkSchema(call, 1);
        ConstantArguments.checkStack(call, 2);
    }

    @Override
    public void open(FunctionContext context) {
        tasks = new Memo<>(Task.Extraction::of);
        super.open(context);
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
        return schema == null
                ? null
                : ask(() -> tasks.get(schema), text, stack, options).answer();
    }
}
