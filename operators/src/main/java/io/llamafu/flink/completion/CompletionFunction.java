package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
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
 */
@Internal
public final class CompletionFunction extends RichAsyncFunction<RoutedRequest, Completion> {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(CompletionFunction.class);

    private final LlamafuOptions options;
    private final SamplingOptions sampling;
    private final Leases leases;

    private transient EngineSession session;
    private transient Map<ResultFuture<Completion>, OpenRequest> open;

    private record OpenRequest(RoutedRequest request, CompletableFuture<io.llamafu.engine.Completion> answer) {}

    public CompletionFunction(LlamafuOptions options, SamplingOptions sampling, Leases leases) {
        this.options = checkNotNull(options, "options is null");
        this.sampling = checkNotNull(sampling, "sampling is null");
        this.leases = checkNotNull(leases, "leases is null");
    }

    @Override
    public void open(OpenContext context) {
        open = new ConcurrentHashMap<>();
        session = EngineSession.open(options, leases, getRuntimeContext().getMetricGroup());
    }

    @Override
    @SuppressWarnings("FutureReturnValueIgnored") // settle lets nothing escape
    public void asyncInvoke(RoutedRequest request, ResultFuture<Completion> result) {
        OpenRequest opened = new OpenRequest(request, session.submit(() -> toEngine(request)));
        open.put(result, opened);
        opened.answer().whenComplete((answer, failure) -> settle(result, opened, answer, failure));
    }

    private CompletionRequest toEngine(RoutedRequest request) {
        if (request.getErrorCode() != null) {
            throw new LlamafuException(ErrorCode.valueOf(request.getErrorCode()), request.getError());
        }
        return options.toRequest(request.getPrompt(), AdapterStack.parse(request.getStack()), sampling);
    }

    private void settle(
            ResultFuture<Completion> result,
            OpenRequest opened,
            @Nullable io.llamafu.engine.Completion answer,
            @Nullable Throwable failure) {
        if (!open.remove(result, opened)) {
            return;
        }
        try {
            if (failure != null) {
                fail(result, opened.request(), session.failed(failure));
            } else {
                Completion completion = Outcomes.answered(opened.request(), answer);
                session.answered(answer);
                result.complete(List.of(completion));
            }
        } catch (RuntimeException e) {
            // Nobody else will settle this one. After the end of the task this is refused once more, and harmless.
            result.completeExceptionally(EngineSession.coded(e));
        }
    }

    /** Flink's own timeout, which is longer than the engine's: the engine has not answered at all. */
    @Override
    public void timeout(RoutedRequest request, ResultFuture<Completion> result) {
        OpenRequest opened = open.remove(result);
        if (opened == null) {
            return;
        }
        opened.answer().cancel(false);
        fail(result, request, session.unanswered(options.timeout()));
    }

    private void fail(ResultFuture<Completion> result, RoutedRequest request, LlamafuException error) {
        String record = "%s: %s".formatted(describe(request), error.getMessage());
        switch (options.onError()) {
            case FAIL -> result.completeExceptionally(new LlamafuException(error.code(), record, error));
            case NULL -> {
                session.log(error.code(), record);
                result.complete(List.of(Outcomes.withoutText(request)));
            }
            case EMIT -> {
                session.log(error.code(), record);
                result.complete(List.of(Outcomes.failed(request, error)));
            }
        }
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
            List<OpenRequest> cancelled = List.copyOf(open.values());
            open.clear();
            cancelled.forEach(opened -> opened.answer().cancel(false));
        }
    }
}
