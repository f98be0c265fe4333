package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.Carrier;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.flink.routing.Samplings;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.functions.async.RichAsyncFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import javax.annotation.Nullable;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Hands requests to the TaskManager's engine. Each request has exactly one outcome: whoever takes it out of
 * {@link #open} settles it, be it the engine or the timeout; those still open at {@link #close} are in the last
 * checkpoint and are asked again.
 *
 * @param <E> what travels for a record
 * @param <R> what leaves for it
 */
@Internal
public final class CompletionFunction<E, R> extends RichAsyncFunction<E, R> {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(CompletionFunction.class);

    private final LlamafuOptions options;
    private final SamplingOptions sampling;
    private final Leases leases;
    private final Carrier<?, E, R> carrier;

    private transient TaskManager taskManager;
    private transient EngineSession session;
    private transient Map<ResultFuture<R>, OpenRequest<E>> open;

    private record OpenRequest<E>(E element, CompletableFuture<io.llamafu.engine.Completion> answer) {}

    public CompletionFunction(
            LlamafuOptions options, SamplingOptions sampling, Leases leases, Carrier<?, E, R> carrier) {
        this.options = checkNotNull(options, "options is null");
        this.sampling = checkNotNull(sampling, "sampling is null");
        this.leases = checkNotNull(leases, "leases is null");
        this.carrier = checkNotNull(carrier, "carrier is null");
    }

    /** Here, because asynchronous functions are shown less of it afterwards. */
    @Override
    public void setRuntimeContext(RuntimeContext context) {
        taskManager = TaskManager.of(context);
        super.setRuntimeContext(context);
    }

    @Override
    public void open(OpenContext context) {
        open = new ConcurrentHashMap<>();
        session = EngineSession.open(
                options, taskManager, leases, getRuntimeContext().getMetricGroup());
    }

    @Override
    @SuppressWarnings("FutureReturnValueIgnored") // settle lets nothing escape
    public void asyncInvoke(E element, ResultFuture<R> result) {
        RoutedRequest request = carrier.request(element);
        OpenRequest<E> opened = new OpenRequest<>(element, session.submit(() -> toRequest(request)));
        open.put(result, opened);
        opened.answer().whenComplete((answer, failure) -> settle(result, opened, answer, failure));
    }

    private CompletionRequest toRequest(RoutedRequest request) {
        if (request.getErrorCode() != null) {
            throw new LlamafuException(ErrorCode.valueOf(request.getErrorCode()), request.getError());
        }
        AdapterStack stack = AdapterStack.parse(request.getStack());
        if (request.getScales() != null) {
            stack = stack.withScales(request.getScales());
        }
        SamplingOptions chosen = request.getSampling() == null ? sampling : Samplings.toOptions(request.getSampling());
        CompletionRequest asked = options.toRequest(request.getPrompt(), stack, chosen);
        return request.getMaxTokens() == null ? asked : asked.withMaxTokens(request.getMaxTokens());
    }

    private void settle(
            ResultFuture<R> result,
            OpenRequest<E> opened,
            @Nullable io.llamafu.engine.Completion answer,
            @Nullable Throwable failure) {
        if (!open.remove(result, opened)) {
            return;
        }
        try {
            if (failure != null) {
                fail(result, opened.element(), session.failed(failure));
            } else {
                Completion completion = Outcomes.answered(carrier.request(opened.element()), answer);
                session.answered(answer);
                complete(result, opened.element(), completion);
            }
        } catch (Throwable e) {
            // Nobody else will settle this one. After the end of the task this is refused once more, and harmless.
            result.completeExceptionally(EngineSession.coded(e));
        }
    }

    /** Whether the engine still looks after its requests, so that it will answer or fail each of them. */
    boolean isEngineAtWork() {
        return session.isEngineAtWork(options.timeout());
    }

    /** The operator's own timeout: the engine hangs. */
    @Override
    public void timeout(E element, ResultFuture<R> result) {
        OpenRequest<E> opened = open.remove(result);
        if (opened == null) {
            return;
        }
        opened.answer().cancel(false);
        fail(result, element, session.unanswered(options.timeout()));
    }

    private void fail(ResultFuture<R> result, E element, LlamafuException error) {
        RoutedRequest request = carrier.request(element);
        String record = "%s: %s".formatted(describe(request), error.getMessage());
        switch (options.onError()) {
            case FAIL -> result.completeExceptionally(new LlamafuException(error.code(), record, error));
            case NULL -> {
                session.log(error.code(), record);
                complete(result, element, Outcomes.withoutText(request));
            }
            case EMIT -> {
                session.log(error.code(), record);
                complete(result, element, Outcomes.failed(request, error));
            }
        }
    }

    private void complete(ResultFuture<R> result, E element, Completion completion) {
        result.complete(List.of(carrier.outcome(element, completion)));
    }

    private static String describe(RoutedRequest request) {
        String id = request.getId() == null ? "A record" : "The record with id '%s'".formatted(request.getId());
        return request.getKey() == null ? id : id + " of key '%s'".formatted(request.getKey());
    }

    /** Never throws: an exception here would end the TaskManager. */
    @Override
    public void close() {
        try {
            cancelOpenRequests();
        } catch (RuntimeException e) {
            LOG.warn("Closing went wrong; going on.", e);
        } finally {
            if (session != null) {
                session.close();
            }
        }
    }

    private void cancelOpenRequests() {
        if (open != null) {
            List<OpenRequest<E>> cancelled = List.copyOf(open.values());
            open.clear();
            cancelled.forEach(opened -> opened.answer().cancel(false));
        }
    }
}
