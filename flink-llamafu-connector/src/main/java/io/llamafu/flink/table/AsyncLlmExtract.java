package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;

import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** {@link LlmExtract}, asynchronous. */
@Internal
public final class AsyncLlmExtract extends AsyncLlmFunction {
    private static final long serialVersionUID = 1L;

    private transient Memo<String, Task> tasks;

    AsyncLlmExtract(LlamafuOptions options) {
        this(FunctionEngines.of(LlmExtract.NAME, options, LlamafuTableOptions.OF_A_SCHEMA));
    }

    private AsyncLlmExtract(FunctionEngines engines) {
        super(engines);
    }

    @Override
    UserDefinedFunction with(FunctionEngines planned) {
        return new AsyncLlmExtract(planned);
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
