package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.UserDefinedFunction;

import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** {@link LlmComplete}, asynchronous. */
@Internal
public final class AsyncLlmComplete extends AsyncLlmFunction {
    private static final long serialVersionUID = 1L;

    AsyncLlmComplete(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_COMPLETE, options));
    }

    private AsyncLlmComplete(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new AsyncLlmComplete(planned);
    }

    public void eval(CompletableFuture<String> result, String prompt) {
        eval(result, prompt, "");
    }

    public void eval(CompletableFuture<String> result, String prompt, String stack) {
        eval(result, prompt, stack, Map.of());
    }

    public void eval(CompletableFuture<String> result, String prompt, String stack, Map<String, String> options) {
        ask(result, Outcome::answer, Task.Generation::new, prompt, stack, options);
    }
}
