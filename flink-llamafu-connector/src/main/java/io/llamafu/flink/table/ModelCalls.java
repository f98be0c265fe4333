package io.llamafu.flink.table;

import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.completion.Outcome;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;

import java.io.Serializable;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** One use of a model in a query: turns INPUT rows into OUTPUT rows. NULL in, NULL out. */
final class ModelCalls implements Serializable {
    private static final long serialVersionUID = 1L;

    private final String model;
    private final ModelInput input;
    private final ModelOutput output;
    private final OutputFormat format;
    private final CallOptions options;

    private transient EngineClient client;

    ModelCalls(String model, ModelInput input, ModelOutput output, OutputFormat format, CallOptions options) {
        this.model = model;
        this.input = input;
        this.output = output;
        this.format = format;
        this.options = options;
    }

    void open(FunctionContext context) {
        client = options.open(context, context.getMetricGroup().addGroup("model", model));
    }

    CompletableFuture<RowData> ask(RowData row) {
        return start(row)
                .map(EngineClient.OpenRequest::outcome)
                .orElseGet(() -> CompletableFuture.completedFuture(Outcome.nothing()))
                .thenApply(output::row);
    }

    RowData askAndWait(RowData row) {
        return output.row(start(row).map(EngineClient.OpenRequest::await).orElseGet(Outcome::nothing));
    }

    private Optional<EngineClient.OpenRequest> start(RowData row) {
        return input.read(row)
                .map(values -> options.question(() -> format, values.texts(), values.stack(), values.options()))
                .map(client::ask);
    }

    void close() {
        if (client != null) {
            client.close();
        }
    }
}
