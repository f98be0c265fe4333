package io.llamafu.flink.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.PredictFunction;

import java.util.Collection;
import java.util.List;

/** {@code ML_PREDICT} with {@code 'async' = 'false'}. */
@Internal
public final class LlamafuPredictFunction extends PredictFunction {
    private static final long serialVersionUID = 1L;

    private final ModelCalls calls;

    LlamafuPredictFunction(ModelCalls calls) {
        this.calls = calls;
    }

    @Override
    public void open(FunctionContext context) {
        calls.open(context);
    }

    @Override
    public Collection<RowData> predict(RowData row) {
        return List.of(calls.askAndWait(row));
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
