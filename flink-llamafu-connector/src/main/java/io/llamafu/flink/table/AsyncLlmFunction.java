package io.llamafu.flink.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.api.config.ExecutionConfigOptions;
import org.apache.flink.table.functions.AsyncScalarFunction;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.UserDefinedFunction;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;

/** A {@link LlmFunction} that does not wait, for the module's option {@code async}. */
@Internal
public abstract class AsyncLlmFunction extends AsyncScalarFunction implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    private final FunctionEngines engines;

    AsyncLlmFunction(FunctionEngines engines) {
        this.engines = engines;
    }

    @Override
    public final UserDefinedFunction specialize(SpecializedContext context) {
        Duration timeout = context.getConfiguration().get(ExecutionConfigOptions.TABLE_EXEC_ASYNC_SCALAR_TIMEOUT);
        return with(engines.planned(context, CallOptions.before(timeout)));
    }

    abstract UserDefinedFunction with(FunctionEngines planned);

    /** Flink does not call an asynchronous function with a NULL: the result is NULL. */
    final <T> void ask(
            CompletableFuture<T> result,
            Function<Outcome, T> value,
            Supplier<Task> task,
            String text,
            String stack,
            Map<String, String> options) {
        CompletableFuture<Void> unused = engines.ask(new Asker.Question(task, List.of(text), stack, options))
                .handle((outcome, failure) -> {
                    if (failure == null) {
                        result.complete(value.apply(outcome));
                    } else {
                        result.completeExceptionally(failure);
                    }
                    return null;
                });
    }

    @Override
    public void open(FunctionContext context) {
        engines.open(context);
    }

    @Override
    public void close() {
        engines.close();
    }

    @Override
    public boolean isDeterministic() {
        return false;
    }

    @Override
    public boolean supportsConstantFolding() {
        return false;
    }
}
