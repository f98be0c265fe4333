package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.Completion;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.RoutedRequest;
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
import java.util.concurrent.CompletionException;
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

    private transient TaskManager taskManager;
    private transient volatile JobEngine held;
    private transient CompletionMetrics metrics;
    private transient Map<ResultFuture<Completion>, OpenRequest> open;

    private record OpenRequest(RoutedRequest request, CompletableFuture<io.llamafu.engine.Completion> answer) {}

    public CompletionFunction(LlamafuOptions options, SamplingOptions sampling, Leases leases) {
        this.options = checkNotNull(options, "options is null");
        this.sampling = checkNotNull(sampling, "sampling is null");
        this.leases = checkNotNull(leases, "leases is null");
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
        held = JobEngine.open(options, taskManager, leases);
        metrics = new CompletionMetrics(getRuntimeContext().getMetricGroup(), () -> held.engine());
    }

    @Override
    @SuppressWarnings("FutureReturnValueIgnored") // settle lets nothing escape
    public void asyncInvoke(RoutedRequest request, ResultFuture<Completion> result) {
        metrics.request();
        OpenRequest opened = new OpenRequest(request, submit(request));
        open.put(result, opened);
        opened.answer().whenComplete((answer, failure) -> settle(result, opened, answer, failure));
    }

    /** A throw would fail the task whatever {@code on-error} says, so failures are futures too. */
    private CompletableFuture<io.llamafu.engine.Completion> submit(RoutedRequest request) {
        try {
            if (request.getErrorCode() != null) {
                throw new LlamafuException(ErrorCode.valueOf(request.getErrorCode()), request.getError());
            }
            AdapterStack stack = AdapterStack.parse(request.getStack());
            return engine().submit(options.toRequest(request.getPrompt(), stack, sampling));
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    /**
     * The engine, opened anew if it failed for good: only the records that were in it when it failed are errors. Blocks
     * while the model loads.
     */
    private InferenceEngine engine() {
        JobEngine before = held;
        if (!before.engine().isOpen()) {
            LOG.warn("The engine has failed and is opened anew.");
            held = JobEngine.open(options, taskManager, leases);
            before.close();
        }
        return held.engine();
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
                fail(result, opened.request(), failure);
            } else {
                Completion completion = Outcomes.answered(opened.request(), answer);
                metrics.completion(answer);
                result.complete(List.of(completion));
            }
        } catch (RuntimeException e) {
            // Nobody else will settle this one. After the end of the task this is refused once more, and harmless.
            result.completeExceptionally(coded(e));
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
        fail(
                result,
                request,
                new LlamafuException(
                        ErrorCode.DEADLINE_EXCEEDED,
                        "The record was not answered within its timeout of %s, and the engine did not say why."
                                .formatted(options.timeout())));
    }

    private void fail(ResultFuture<Completion> result, RoutedRequest request, Throwable failure) {
        LlamafuException error = coded(failure);
        long before = metrics.error(error.code());
        String record = "%s: %s".formatted(describe(request), error.getMessage());
        switch (options.onError()) {
            case FAIL -> result.completeExceptionally(new LlamafuException(error.code(), record, error));
            case NULL -> {
                logFirst(before, error.code(), record);
                result.complete(List.of(Outcomes.withoutText(request)));
            }
            case EMIT -> {
                logFirst(before, error.code(), record);
                result.complete(List.of(Outcomes.failed(request, error)));
            }
        }
    }

    private static String describe(RoutedRequest request) {
        String id = request.getId() == null ? "A record" : "The record with id '%s'".formatted(request.getId());
        return request.getKey() == null ? id : id + " of key '%s'".formatted(request.getKey());
    }

    /** The first of each code, so that a log shows what happens without being flooded; the metrics have them all. */
    private static void logFirst(long before, ErrorCode code, String record) {
        if (before == 0) {
            LOG.warn("{}: {} (more of this code are counted, not logged)", code, record);
        } else {
            LOG.debug("{}: {}", code, record);
        }
    }

    private static LlamafuException coded(Throwable failure) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(ErrorCode.ENGINE_FAILED, "The engine failed: " + cause, cause);
    }

    /** Never throws: an exception here would end the TaskManager. */
    @Override
    public void close() {
        quietly(this::cancelOpenRequests);
        quietly(this::giveEngineBack);
    }

    private void cancelOpenRequests() {
        if (open != null) {
            List<OpenRequest> cancelled = List.copyOf(open.values());
            open.clear();
            cancelled.forEach(opened -> opened.answer().cancel(false));
        }
    }

    private void giveEngineBack() {
        if (held != null) {
            held.close();
        }
    }

    private static void quietly(Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            LOG.warn("Closing went wrong; going on.", e);
        }
    }
}
