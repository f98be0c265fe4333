package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.ForwardingEngine;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ResolvedAdapter;

import java.time.Duration;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.stream.Stream;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * An engine over a local folder that a mirror fills: a request goes to the engine when its adapters are there, at once if
 * they are there already. The wait counts towards the request's timeout.
 */
final class MirroredEngine extends ForwardingEngine {
    private static final Set<ErrorCode> ABOUT_ADAPTERS = EnumSet.of(
            ErrorCode.ADAPTER_NOT_FOUND,
            ErrorCode.ADAPTER_INVALID,
            ErrorCode.ADAPTER_INCOMPATIBLE,
            ErrorCode.ADAPTER_LOAD_FAILED);

    private static final Duration IDLE_THREAD = Duration.ofSeconds(1);

    private final AdapterMirror mirror;
    private final Predicate<String> remote;
    private final ScheduledThreadPoolExecutor deadlines = deadlines();

    /**
     * An engine over a mirror.
     *
     * @param remote whether the adapter of a name is in the mirror, or nowhere
     */
    MirroredEngine(InferenceEngine engine, AdapterMirror mirror, Predicate<String> remote) {
        super(engine);
        this.mirror = checkNotNull(mirror, "mirror is null");
        this.remote = checkNotNull(remote, "remote is null");
    }

    /**
     * With a thread that is there as long as somebody waits: one that stays, such as the one behind
     * {@link CompletableFuture#orTimeout}, would keep the class loader of the job that began it.
     */
    private static ScheduledThreadPoolExecutor deadlines() {
        ScheduledThreadPoolExecutor deadlines = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "llamafu-adapter-deadlines");
            thread.setDaemon(true);
            return thread;
        });
        deadlines.setRemoveOnCancelPolicy(true);
        deadlines.setKeepAliveTime(IDLE_THREAD.toMillis(), TimeUnit.MILLISECONDS);
        deadlines.allowCoreThreadTimeOut(true);
        return deadlines;
    }

    @Override
    public CompletableFuture<Completion> submit(CompletionRequest request) {
        List<String> names = remoteNames(request.adapters(), remote);
        if (names.isEmpty()) {
            return engine().submit(request);
        }
        CompletableFuture<AdapterMirror.Use> use = mirror.use(names);
        CompletableFuture<Completion> result = new CompletableFuture<>();
        if (use.isDone() && !use.isCompletedExceptionally()) {
            handOver(request, use.join(), result);
        } else {
            handOverInTime(request, use, result);
        }
        return result;
    }

    /** The names of a stack that are in the mirror, or nowhere. */
    static List<String> remoteNames(AdapterStack stack, Predicate<String> remote) {
        return stack.entries().stream()
                .map(AdapterStack.Entry::name)
                .filter(remote)
                .toList();
    }

    @SuppressWarnings("FutureReturnValueIgnored") // each step hands its outcome on to the result
    private void handOverInTime(
            CompletionRequest request, CompletableFuture<AdapterMirror.Use> use, CompletableFuture<Completion> result) {
        long start = System.nanoTime();
        CompletableFuture<AdapterMirror.Use> inTime = new CompletableFuture<>();
        ScheduledFuture<?> deadline = deadlines.schedule(
                () -> inTime.completeExceptionally(new TimeoutException()),
                TimeUnit.MILLISECONDS.convert(request.timeout()),
                TimeUnit.MILLISECONDS);
        use.whenComplete((held, failure) -> {
            if (failure != null) {
                inTime.completeExceptionally(failure);
            } else if (!inTime.complete(held)) {
                held.close();
            }
        });
        inTime.whenComplete((held, failure) -> {
            deadline.cancel(false);
            if (failure != null) {
                result.completeExceptionally(reason(request, failure));
            } else {
                Duration spent = Duration.ofNanos(System.nanoTime() - start);
                CompletionRequest left = request.withTimeout(request.timeout().minus(spent))
                        .withPatience(request.patience().minus(spent));
                handOver(left, held, result);
            }
        });
        // Whoever gave up waits for no adapters any more.
        result.whenComplete((completion, failure) -> inTime.cancel(false));
    }

    @SuppressWarnings("FutureReturnValueIgnored") // the outcome is handed on to the result
    private void handOver(CompletionRequest request, AdapterMirror.Use use, CompletableFuture<Completion> result) {
        if (result.isDone()) {
            // Cancelled while the adapters were fetched.
            use.close();
            return;
        }
        CompletableFuture<Completion> answer = engine().submit(request);
        answer.whenComplete((completion, failure) -> {
            use.close();
            if (failure != null) {
                result.completeExceptionally(withUri(failure));
            } else {
                result.complete(completion);
            }
        });
        // Frees the sequence of a cancelled request; an answer that is there is not touched by it.
        result.whenComplete((completion, failure) -> answer.cancel(false));
    }

    /** The engine knows the local folder only, which says nothing to a user. */
    private Throwable withUri(Throwable failure) {
        return failure instanceof LlamafuException coded && ABOUT_ADAPTERS.contains(coded.code())
                ? new LlamafuException(
                        coded.code(),
                        "%s The adapters are those of %s.".formatted(coded.getMessage(), mirror.described()),
                        coded)
                : failure;
    }

    private static LlamafuException reason(CompletionRequest request, Throwable failure) {
        return failure instanceof TimeoutException
                ? new LlamafuException(
                        ErrorCode.DEADLINE_EXCEEDED,
                        "The adapters of '%s' were not fetched within %s; raise timeout."
                                .formatted(request.adapters(), request.timeout()))
                : AdapterMirror.reason(failure);
    }

    /** Of those that were not fetched only the names and sizes are known. */
    @Override
    public List<LoadedAdapter> adapters() {
        Map<String, Long> notFetched = mirror.notFetched();
        List<LoadedAdapter> here = engine().adapters().stream()
                .filter(adapter -> adapter.resident() || !notFetched.containsKey(adapter.name()))
                .toList();
        // One in memory answers although its file has left the cache.
        here.forEach(adapter -> notFetched.remove(adapter.name()));
        return Stream.concat(
                        here.stream(),
                        notFetched.entrySet().stream().map(adapter -> notFetched(adapter.getKey(), adapter.getValue())))
                .sorted(Comparator.comparing(LoadedAdapter::name))
                .toList();
    }

    private static LoadedAdapter notFetched(String name, long fileBytes) {
        return new LoadedAdapter(
                name,
                Optional.empty(),
                false,
                0,
                0,
                List.of(),
                0,
                fileBytes,
                0,
                AdapterCard.NONE.defaultScale(),
                AdapterCard.NONE.description(),
                AdapterCard.NONE.tags(),
                Optional.empty());
    }

    @Override
    public CompletableFuture<List<ResolvedAdapter>> preload(AdapterStack stack) {
        return mirror.use(remoteNames(stack, remote))
                .thenCompose(use -> engine().preload(stack).whenComplete((adapters, failure) -> use.close()));
    }
}
