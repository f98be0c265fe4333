package io.llamafu.flink.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.AsyncPredictFunction;
import org.apache.flink.table.functions.FunctionContext;

import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** {@code ML_PREDICT}, with many records in flight. */
@Internal
public final class LlamafuAsyncPredictFunction extends AsyncPredictFunction {
    private static final long serialVersionUID = 1L;

    private final ModelCalls calls;

    LlamafuAsyncPredictFunction(ModelCalls calls) {
        this.calls = calls;
    }

    @Override
    public void open(FunctionContext context) {
        calls.open(context);
    }

    @Override
    public CompletableFuture<Collection<RowData>> asyncPredict(RowData row) {
        return calls.ask(row).thenApply(List::of);
    }

    @Override
    public void close() {
        calls.close();
    }

    @Override
    public boolean isDeterministic() {
        return false;
    }
}
