package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.UserDefinedFunction;

import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** {@link LlmExtract}, asynchronous. */
@Internal
public final class AsyncLlmExtract extends AsyncLlmFunction {
    private static final long serialVersionUID = 1L;

    private final Memo<String, Task> tasks = new Memo<>(Task.Extraction::of);

    AsyncLlmExtract(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_EXTRACT, options));
    }

    private AsyncLlmExtract(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new AsyncLlmExtract(planned);
    }

    public void eval(CompletableFuture<String> result, String text, String schema) {
        eval(result, text, schema, "");
    }

    public void eval(CompletableFuture<String> result, String text, String schema, String stack) {
        eval(result, text, schema, stack, Map.of());
    }

    public void eval(
            CompletableFuture<String> result, String text, String schema, String stack, Map<String, String> options) {
        ask(result, Outcome::answer, () -> tasks.get(schema), text, stack, options);
    }
}
