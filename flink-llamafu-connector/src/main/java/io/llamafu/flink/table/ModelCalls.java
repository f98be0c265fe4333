package io.llamafu.flink.table;

import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;

import java.io.Serializable;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** One use of a model in a query: from the row of its INPUT to the row of its OUTPUT. NULL in, NULL out. */
final class ModelCalls implements Serializable {
    private static final long serialVersionUID = 1L;

    private final String model;
    private final ModelInput input;
    private final ModelOutput output;
    private final Task task;
    private final Asker asker;

    ModelCalls(String model, ModelInput input, ModelOutput output, Task task, CallOptions options) {
        this.model = model;
        this.input = input;
        this.output = output;
        this.task = task;
        this.asker = new Asker(options);
    }

    void open(FunctionContext context) {
        asker.open(context, context.getMetricGroup().addGroup("model", model));
    }

    CompletableFuture<RowData> ask(RowData row) {
        return question(row)
                .map(asker::ask)
                .orElseGet(() -> CompletableFuture.completedFuture(Outcome.nothing()))
                .thenApply(output::row);
    }

    RowData askAndWait(RowData row) {
        return output.row(question(row).map(asker::askAndWait).orElseGet(Outcome::nothing));
    }

    private Optional<Asker.Question> question(RowData row) {
        return input.read(row)
                .map(values -> new Asker.Question(() -> task, values.texts(), values.stack(), values.options()));
    }

    void close() {
        asker.close();
    }
}
