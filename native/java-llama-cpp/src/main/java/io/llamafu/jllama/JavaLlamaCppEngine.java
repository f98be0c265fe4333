package io.llamafu.jllama;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterCatalog.OpenStack;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.support.AdapterInventory;
import io.llamafu.engine.support.AnswerMemo;
import io.llamafu.engine.support.MemoryBudget;
import io.llamafu.engine.support.OpenRequests;
import io.llamafu.engine.support.Preload;
import io.llamafu.engine.support.RequestCheck;
import io.llamafu.engine.support.SequenceTokens;
import io.llamafu.gguf.ModelFile;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

import static java.util.Objects.requireNonNull;

/**
 * The engine {@code java-llama.cpp}, based on {@code de.kherud:llama}, for platforms without our own library.
 *
 * <p>Each sequence slot of the model has a worker thread, which takes the next request, sends it to its slot and reads
 * the tokens. So java-llama.cpp never has more requests than slots, and a request is cancelled by the thread that waits
 * for its tokens, which is the only safe way. If a request needs an adapter that the model was not loaded with, its
 * worker loads a second model; the other requests finish on the first.
 */
public final class JavaLlamaCppEngine implements InferenceEngine {
    /** The value of the option {@code engine}. */
    public static final String NAME = "java-llama.cpp";

    /** In {@link CompletionResult.Computation#engine()}. The library does not tell its version. */
    static final String BUILD = NAME + ": de.kherud:llama 4.2.0 (llama.cpp b4916)";

    private static final Logger LOG = LoggerFactory.getLogger(JavaLlamaCppEngine.class);
    private static final Duration CLOSE_TIMEOUT = Duration.ofMinutes(2);
    private static final long DEADLINE_CHECK_MILLIS = 10;
    private static final int FILE_THREADS = 2;

    private final EngineOptions options;
    private final ModelFile file;
    private final int sequenceTokens;
    private final PromptTokenizer tokenizer;
    private final RequestLimits limits;

    private final AdapterCatalog catalog;
    /** Looks adapters up, and reads their files. */
    private final ExecutorService files;

    private final AdapterInventory inventory;
    private final LoadedModel model;
    private final OpenRequests openRequests = new OpenRequests();
    private final AnswerMemo memo;
    private final ModelChat chat;
    private final ExecutorService workers;
    private final ScheduledExecutorService deadlines;
    private final Queue<Integer> freeSlots = new ConcurrentLinkedQueue<>();

    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder generatedTokens = new LongAdder();

    private final long adapterBudget;

    private JavaLlamaCppEngine(EngineOptions options, ModelFile file, AdapterCatalog catalog, ExecutorService files) {
        this.options = options;
        this.file = file;
        this.sequenceTokens = SequenceTokens.of(options, file);
        this.memo = new AnswerMemo(options.answerMemo());
        Map<String, Integer> controlTokens = file.controlTokens();
        this.tokenizer = new PromptTokenizer(file, controlTokens);
        this.limits = new RequestLimits(file, sequenceTokens, controlTokens);
        this.chat = new ModelChat(file.chatTemplate(), file.specialTokens());
        this.catalog = catalog;
        this.files = files;
        this.inventory = new AdapterInventory(catalog, file.gguf(), tensor -> Optional.empty());
        this.adapterBudget = MemoryBudget.ofAdapters(options, memory(0));
        ModelLoader loader = new ModelLoader(options, file, catalog, sequenceTokens, adapterBudget);
        try (OpenStack preloaded =
                Preload.await(catalog.open(Preload.together(options.adapterPreload()), adapter -> true))) {
            this.model = new LoadedModel(loader, preloaded.files());
        }
        for (int slot = 0; slot < options.parallelSequences(); slot++) {
            freeSlots.add(slot);
        }
        this.workers = Executors.newFixedThreadPool(
                options.parallelSequences(), DaemonThreads.named("llamafu-java-llama", TextLimits.STACK_BYTES));
        this.deadlines =
                Executors.newSingleThreadScheduledExecutor(DaemonThreads.named("llamafu-java-llama-deadlines"));
        ScheduledFuture<?> unused = deadlines.scheduleWithFixedDelay(
                () -> openRequests.failOverdue(System.nanoTime()),
                DEADLINE_CHECK_MILLIS,
                DEADLINE_CHECK_MILLIS,
                TimeUnit.MILLISECONDS);
    }

    /**
     * Validates and loads the model, with all adapters now in the folder.
     *
     * @throws LlamafuException with MODEL_NOT_FOUND, MODEL_INVALID, MODEL_LOAD_FAILED, OUT_OF_MEMORY,
     *     NATIVE_LIBRARY_UNAVAILABLE, UNSUPPORTED_CPU or INVALID_OPTION; for adapters to preload also with the codes of
     *     {@link #preload}
     */
    public static JavaLlamaCppEngine open(EngineOptions options) {
        requireNonNull(options, "options is null");
        if (options.deterministic()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "deterministic is true, but answers of the engine %s depend on what else is in a batch; use the engine native."
                            .formatted(NAME));
        }
        BindingLibrary.prepare();
        ModelFile file = ModelFile.read(options.model());
        MemoryBudget.checkBeforeLoading(options, file);
        long start = System.nanoTime();
        JavaLlamaCppEngine engine = openOver(options.adapters().open(), options, file);
        LOG.info(
                "Opened {} with java-llama.cpp in {} ms: {} sequences of {} tokens, {} threads, {} adapters.",
                options.model(),
                TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start),
                options.parallelSequences(),
                engine.sequenceTokens,
                options.threads(),
                engine.model.adapterCount());
        return engine;
    }

    private static JavaLlamaCppEngine openOver(AdapterSource.Session source, EngineOptions options, ModelFile file) {
        ExecutorService files =
                Executors.newFixedThreadPool(FILE_THREADS, DaemonThreads.named("llamafu-java-llama-files"));
        AdapterCatalog catalog = new AdapterCatalog(
                source,
                options.adapterRefreshInterval(),
                new AdapterCatalog.Threads(files, files, () -> {}),
                name -> {});
        try {
            return new JavaLlamaCppEngine(options, file, catalog, files);
        } catch (RuntimeException | Error e) {
            catalog.close();
            files.shutdown();
            throw e;
        }
    }

    /** The versions of a stack; the files of those that the model was loaded without are pinned. */
    private CompletableFuture<OpenStack> open(AdapterStack stack) {
        return catalog.open(stack, adapter -> !model.hasAll(List.of(adapter)));
    }

    @Override
    public ModelChat modelChat() {
        return chat;
    }

    @Override
    public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
        if (request == null) {
            return CompletableFuture.failedFuture(RequestCheck.noRequest());
        }
        long now = System.nanoTime();
        CompletableFuture<CompletionResult> future = openRequests.open(request.timeout(), request.patience(), now);
        try {
            openAndQueue(limits.checked(request), future, now);
        } catch (RuntimeException e) {
            future.completeExceptionally(coded(e));
        } catch (Error e) {
            future.completeExceptionally(coded(e));
            throw e;
        }
        return Futures.ofCaller(future);
    }

    private void openAndQueue(
            CompletionRequest request, CompletableFuture<CompletionResult> future, long submittedNanos) {
        Futures.whenComplete(open(request.adapters()), (adapters, failure) -> {
            if (failure != null) {
                future.completeExceptionally(coded(failure));
            } else {
                queue(request, adapters, future, submittedNanos);
            }
        });
    }

    private void queue(
            CompletionRequest request,
            OpenStack adapters,
            CompletableFuture<CompletionResult> future,
            long submittedNanos) {
        Futures.whenComplete(future, (completion, failure) -> adapters.close());
        try {
            openRequests.waits(future, System.nanoTime());
            workers.execute(() -> serve(request, adapters.files(), future, submittedNanos));
        } catch (RuntimeException | Error e) {
            // Also if no thread can be created: nothing else would complete the future.
            future.completeExceptionally(coded(e));
        }
    }

    /** Runs on a worker. */
    private void serve(
            CompletionRequest request,
            List<AdapterFile> adapters,
            CompletableFuture<CompletionResult> future,
            long submittedNanos) {
        if (future.isDone()) {
            return;
        }
        openRequests.proceeds(future, System.nanoTime());
        try {
            if (isReplaced(adapters)) {
                adapters.forEach(catalog::recheck);
                openAndQueue(request, future, submittedNanos);
                return;
            }
            Runnable ask = () -> askModel(request, adapters, future, submittedNanos);
            AnswerMemo.Asker asker = new AnswerMemo.Asker(future, submittedNanos, () -> workers.execute(ask), () -> {});
            openRequests.waits(future, System.nanoTime());
            if (memo.mustAsk(question(request, adapters), asker)) {
                ask.run();
            }
        } catch (RuntimeException | LinkageError e) {
            future.completeExceptionally(coded(e));
        }
    }

    /** Whether an adapter that the model lacks was published again while the request was in line. */
    private boolean isReplaced(List<AdapterFile> adapters) {
        return !model.hasAll(adapters) && !adapters.stream().allMatch(AdapterFile::isUnchanged);
    }

    private static AnswerMemo.Question question(CompletionRequest request, List<AdapterFile> adapters) {
        return new AnswerMemo.Question(
                request.prompt(),
                2L * request.prompt().toString().length(),
                resolved(request.adapters(), adapters),
                request.sampling(),
                request.maxTokens(),
                request.stop(),
                request.labels());
    }

    /** Runs on a worker. There are as many slots as workers, so one is free. */
    private void askModel(
            CompletionRequest request,
            List<AdapterFile> adapters,
            CompletableFuture<CompletionResult> future,
            long submittedNanos) {
        openRequests.proceeds(future, System.nanoTime());
        int slot = freeSlots.remove();
        Optional<CompletionResult> completion = Optional.empty();
        Optional<LlamafuException> failure = Optional.empty();
        try {
            completion = answer(request, adapters, future, submittedNanos, slot);
        } catch (RuntimeException | LinkageError e) {
            failure = Optional.of(coded(e));
        } finally {
            freeSlots.add(slot);
        }
        // last, so that the slot is free when the answer is visible
        completion.ifPresent(future::complete);
        failure.ifPresent(future::completeExceptionally);
    }

    private Optional<CompletionResult> answer(
            CompletionRequest request,
            List<AdapterFile> adapters,
            CompletableFuture<CompletionResult> future,
            long submittedNanos,
            int slot) {
        long startedNanos = System.nanoTime();
        ModelGeneration generation = model.acquire(adapters);
        try {
            limits.checkStrength(request.adapters(), adapters, generation);
            PromptTokenizer.Tokenized prompt = tokenizer.tokenize(generation.model(), request.prompt());
            limits.checkPrompt(prompt.tokens());
            SlotAnswer answer = new SlotAnswer(
                    request,
                    adapters,
                    generation,
                    prompt,
                    Math.min(request.maxTokens(), sequenceTokens - prompt.tokens()),
                    sequenceTokens,
                    submittedNanos,
                    startedNanos);
            promptTokens.add(prompt.tokens());
            boolean complete = receiveInTurn(answer, generation.model(), request, future, slot);
            generatedTokens.add(answer.generatedTokens());
            return complete ? Optional.of(RequestLimits.whole(request, answer.completion())) : Optional.empty();
        } finally {
            generation.release();
        }
    }

    /** False if the future was completed meanwhile. */
    private boolean receiveInTurn(
            SlotAnswer answer,
            BoundModel model,
            CompletionRequest request,
            CompletableFuture<CompletionResult> future,
            int slot) {
        openRequests.waits(future, System.nanoTime());
        if (!ModelTurns.begin(model, future::isDone)) {
            return false;
        }
        try {
            openRequests.proceeds(future, System.nanoTime());
            return answer.receiveAll(slot, limits.unwanted(request), future);
        } finally {
            ModelTurns.end();
        }
    }

    private LlamafuException coded(Throwable failure) {
        Throwable cause =
                failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        if (cause instanceof LlamafuException coded) {
            return coded;
        }
        if (cause instanceof RejectedExecutionException) {
            return LlamafuException.engineClosed();
        }
        String message = String.valueOf(cause.getMessage());
        ErrorCode code = message.contains("exceeds the available context size")
                ? ErrorCode.PROMPT_TOO_LONG
                : ErrorCode.ENGINE_FAILED;
        return new LlamafuException(code, "java-llama.cpp refused the request: " + message, cause);
    }

    @Override
    public int countTokens(Prompt prompt) {
        String text = prompt.toString();
        Utf8.requireEncodable(text, "The text");
        TextLimits.checkWords(text);
        ModelGeneration generation = model.acquire(List.of());
        try {
            return TextLimits.withLargeStack(() -> tokenizer.tokenize(generation.model(), prompt))
                    .tokens();
        } finally {
            generation.release();
        }
    }

    @Override
    public List<LoadedAdapter> adapters() {
        return inventory.list(model.adapters());
    }

    @Override
    public CompatibilityReport check(Path file) {
        return inventory.check(file);
    }

    /** Loads the model again with these adapters, if it was loaded without them. */
    @Override
    public CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        return open(stack).thenApplyAsync(open -> load(stack, open), workers).handle((resolved, failure) -> {
            if (failure != null) {
                throw coded(failure);
            }
            return resolved;
        });
    }

    private List<AppliedAdapter> load(AdapterStack stack, OpenStack open) {
        try (open) {
            model.acquire(open.files()).release();
            return resolved(stack, open.files());
        }
    }

    private static List<AppliedAdapter> resolved(AdapterStack stack, List<AdapterFile> files) {
        List<AppliedAdapter> resolved = new ArrayList<>();
        for (int i = 0; i < files.size(); i++) {
            AdapterFile file = files.get(i);
            resolved.add(
                    new AppliedAdapter(file.name(), file.scaleOf(stack.entries().get(i)), file.digest()));
        }
        return resolved;
    }

    /** Has no effect: java-llama.cpp cannot free adapters. */
    @Override
    public boolean unload(String name) {
        AdapterName.check(name);
        return false;
    }

    /** Has no effect: java-llama.cpp cannot free adapters. */
    @Override
    public int clear() {
        return 0;
    }

    @Override
    public boolean isOpen() {
        return !model.isClosed();
    }

    @Override
    public Duration unattendedFor() {
        return openRequests.unattendedFor();
    }

    @Override
    public EngineMetrics metrics() {
        int active = options.parallelSequences() - freeSlots.size();
        return new EngineMetrics(
                new EngineMetrics.Requests(
                        openRequests.submittedCount(),
                        openRequests.completedCount(),
                        openRequests.failedCount(),
                        memo.hits(),
                        Math.max(0, openRequests.count() - active)),
                new EngineMetrics.Decoding(promptTokens.sum(), 0, 0, generatedTokens.sum(), 0),
                new EngineMetrics.Sequences(
                        active,
                        options.parallelSequences(),
                        (long) active * sequenceTokens,
                        0,
                        (long) options.parallelSequences() * sequenceTokens),
                new EngineMetrics.Adapters(model.adapterCount(), model.adapterLoads(), 0, 0, adapterBudget),
                memory(model.adapterBytes()));
    }

    private EngineMetrics.Memory memory(long adapterBytes) {
        return new EngineMetrics.Memory(
                file.gguf().tensorBytes(), MemoryBudget.keyValueBytes(options, file), 0, adapterBytes);
    }

    /**
     * As specified, except that the model stays in memory, because java-llama.cpp cannot free it. See {@link
     * IdleModels}.
     */
    @Override
    public void close() {
        if (!model.close()) {
            return;
        }
        memo.close();
        catalog.close();
        files.shutdown();
        workers.shutdown();
        openRequests.failAll(LlamafuException.engineClosed());
        deadlines.shutdownNow();
        try {
            if (!workers.awaitTermination(CLOSE_TIMEOUT.toSeconds(), TimeUnit.SECONDS)) {
                LOG.error("Requests did not end within {}; their model is not used again.", CLOSE_TIMEOUT);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            LOG.warn("Interrupted while closing the engine.");
        }
    }
}
