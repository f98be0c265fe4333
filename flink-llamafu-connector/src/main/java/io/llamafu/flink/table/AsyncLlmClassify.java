package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.UserDefinedFunction;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** {@link LlmClassify}, asynchronous. */
@Internal
public final class AsyncLlmClassify extends AsyncLlmFunction {
    private static final long serialVersionUID = 1L;

    private final Memo<List<String>, Task> tasks = new Memo<>(Task.Classification::of);

    AsyncLlmClassify(LlamafuOptions options) {
        this(FunctionEngines.of(LlmFunctionName.LLM_CLASSIFY, options));
    }

    private AsyncLlmClassify(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new AsyncLlmClassify(planned);
    }

    public void eval(CompletableFuture<String> result, String text, String[] labels) {
        eval(result, text, labels, "");
    }

    public void eval(CompletableFuture<String> result, String text, String[] labels, String stack) {
        eval(result, text, labels, stack, Map.of());
    }

    public void eval(
            CompletableFuture<String> result, String text, String[] labels, String stack, Map<String, String> options) {
        ask(result, Outcome::answer, () -> tasks.get(Arrays.asList(labels)), text, stack, options);
    }
}
