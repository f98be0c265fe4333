package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.types.Row;

import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** {@link LlmTryComplete}, asynchronous. */
@Internal
@FunctionHint(output = @DataTypeHint(TryRow.TYPE))
public final class AsyncLlmTryComplete extends AsyncLlmFunction {
    private static final long serialVersionUID = 1L;

    AsyncLlmTryComplete(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_TRY_COMPLETE, options));
    }

    private AsyncLlmTryComplete(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new AsyncLlmTryComplete(planned);
    }

    public void eval(CompletableFuture<Row> result, String prompt) {
        eval(result, prompt, "");
    }

    public void eval(CompletableFuture<Row> result, String prompt, String stack) {
        eval(result, prompt, stack, Map.of());
    }

    public void eval(CompletableFuture<Row> result, String prompt, String stack, Map<String, String> options) {
        ask(result, TryRow::of, Task.Generation::new, prompt, stack, options);
    }
}
