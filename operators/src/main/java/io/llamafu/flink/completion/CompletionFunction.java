package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.Carrier;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.functions.async.RichAsyncFunction;
import org.apache.flink.util.function.SerializableFunction;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Asks the TaskManager's engine for each routed record. {@link CompletionOperator} runs it.
 *
 * @param <E> the elements that travel
 * @param <R> the outcomes
 */
@Internal
public final class CompletionFunction<E, R> extends RichAsyncFunction<E, R> {
    private static final long serialVersionUID = 1L;

    private final Carrier<?, E, R> carrier;
    private final LlamafuOptions options;
    private final SamplingOptions sampling;
    private final SerializableFunction<EngineOptions, SharedEngines.Lease> engines;

    private transient TaskManager taskManager;
    private transient EngineClient client;
    private transient Map<ResultFuture<R>, EngineClient.OpenRequest> asked;

    /**
     * A function.
     *
     * @param sampling for records without their own
     * @param engines provides the engine of each subtask
     */
    public CompletionFunction(
            Carrier<?, E, R> carrier,
            LlamafuOptions options,
            SamplingOptions sampling,
            SerializableFunction<EngineOptions, SharedEngines.Lease> engines) {
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.options = checkNotNull(options, "options is null");
        this.sampling = checkNotNull(sampling, "sampling is null");
        this.engines = checkNotNull(engines, "engines is null");
    }

    /** Keeps values that asynchronous functions cannot read from the context later. */
    @Override
    public void setRuntimeContext(RuntimeContext context) {
        taskManager = TaskManager.of(context);
        super.setRuntimeContext(context);
    }

    @Override
    public void open(OpenContext context) {
        asked = new ConcurrentHashMap<>();
        client = EngineClient.open(
                options, taskManager, engines, getRuntimeContext().getMetricGroup());
    }

    @Override
    @SuppressWarnings("FutureReturnValueIgnored") // the result is settled in any case
    public void asyncInvoke(E element, ResultFuture<R> result) {
        RecordQuestion question = new RecordQuestion(carrier.request(element), options, sampling);
        EngineClient.OpenRequest request = client.ask(question);
        asked.put(result, request);
        request.outcome()
                .thenApply(outcome -> List.of(carrier.outcome(element, question.completion(outcome))))
                .whenComplete((answer, failure) -> {
                    asked.remove(result);
                    if (failure == null) {
                        result.complete(answer);
                    } else {
                        result.completeExceptionally(
                                LlamafuException.of(failure, ErrorCode.ENGINE_FAILED, "The engine failed"));
                    }
                });
    }

    /** Settles the record if the engine hangs. A working engine enforces the timeout itself. */
    @Override
    public void timeout(E element, ResultFuture<R> result) {
        EngineClient.OpenRequest request = asked.get(result);
        if (request != null) {
            request.giveUpIfEngineHangs();
        }
    }

    @Override
    public void close() {
        if (client != null) {
            client.close();
        }
    }
}
