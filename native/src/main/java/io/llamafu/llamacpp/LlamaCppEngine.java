package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.support.AdapterInventory;
import io.llamafu.engine.support.AnswerMemo;
import io.llamafu.engine.support.MemoryBudget;
import io.llamafu.engine.support.ModelDigest;
import io.llamafu.engine.support.OpenRequests;
import io.llamafu.engine.support.Preload;
import io.llamafu.engine.support.RequestCheck;
import io.llamafu.engine.support.SequenceTokens;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.ModelFile;
import io.llamafu.grammar.LabelGrammar;
import io.llamafu.llamacpp.LabelTokenizer.LabelledPrompt;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.IntBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Function;

import static java.util.Objects.requireNonNull;

/**
 * The engine {@code native}: continuous batching over llama.cpp, with adapters for each sequence.
 *
 * <p>{@link #submit} runs on the caller's thread: it checks the request, tokenizes the prompt, parses the grammar and asks
 * the {@link AdapterCache} for the adapters. The {@link PreparedRequest} goes to the {@link DecodeLoop}, whose thread
 * owns the scheduler and the context.
 */
public final class LlamaCppEngine implements InferenceEngine {
    private static final Logger LOG = LoggerFactory.getLogger(LlamaCppEngine.class);
    private static final Duration CLOSE_TIMEOUT = Duration.ofMinutes(2);

    private final LlamaModel model;
    private final ModelWatch watch;
    private final int maxSequenceTokens;
    private final int maxAdapters;
    private final AdapterCache adapters;
    private final AdapterInventory inventory;
    private final OpenRequests openRequests;
    private final DecodeLoop loop;
    private final AnswerMemo memo;
    private final LabelTokenizer labelTokenizer;
    /** The tokens that end an answer. */
    private final int[] ends;

    private final String modelDigest;
    private final String build;
    private final ModelChat chat;
    /** Shared by {@code submit}, exclusive in {@code close}: after close no request is on its way to the loop. */
    private final ReadWriteLock gate = new ReentrantReadWriteLock();

    private boolean closed;

    private LlamaCppEngine(
            EngineOptions options,
            AdapterSource.Session source,
            LlamaModel model,
            ModelWatch watch,
            LlamaContext context,
            int maxSequenceTokens,
            GgufFile base,
            String modelDigest,
            ModelChat chat) {
        this.model = model;
        this.watch = watch;
        this.maxSequenceTokens = maxSequenceTokens;
        this.maxAdapters = options.maxAdaptersPerBatch();
        this.openRequests = new OpenRequests();
        this.loop = new DecodeLoop(options, model, context, maxSequenceTokens, openRequests);
        this.memo = new AnswerMemo(options.answerMemo());
        this.labelTokenizer = new LabelTokenizer(model);
        this.ends = model.vocabulary().endsOfGeneration();
        this.modelDigest = modelDigest;
        this.build = LlamaCppEngineProvider.NAME + ": " + NativeLibrary.build();
        this.chat = chat;
        Function<String, Optional<String>> refusals = context.refusals();
        boolean mixed = options.loraBatching() == LoraBatching.MIXED;
        this.adapters = new AdapterCache(
                source,
                options.adapterRefreshInterval(),
                file -> loadAdapter(model, base, refusals, file, mixed, loop::giveWay),
                loop::forget,
                loop::giveWay,
                MemoryBudget.ofAdapters(options, context.memory()));
        this.inventory = new AdapterInventory(adapters.catalog(), base, refusals);
    }

    /**
     * Validates and loads the model, and the adapters to preload.
     *
     * @throws LlamafuException with MODEL_NOT_FOUND, MODEL_INVALID, MODEL_LOAD_FAILED, OUT_OF_MEMORY,
     *     NATIVE_LIBRARY_UNAVAILABLE, UNSUPPORTED_CPU or INVALID_OPTION; for adapters to preload also with the codes of
     *     {@link #preload}
     */
    public static LlamaCppEngine open(EngineOptions options) {
        LlamaCppEngine engine = openWithoutAdapters(requireNonNull(options, "options is null"));
        try {
            List<AppliedAdapter> unused = Preload.await(engine.preload(Preload.together(options.adapterPreload())));
            return engine;
        } catch (RuntimeException | Error e) {
            engine.close();
            throw e;
        }
    }

    private static LlamaCppEngine openWithoutAdapters(EngineOptions options) {
        AdapterSource.Session source = options.adapters().open();
        try {
            return openOver(source, options);
        } catch (RuntimeException | Error e) {
            source.close();
            throw e;
        }
    }

    private static LlamaCppEngine openOver(AdapterSource.Session source, EngineOptions options) {
        ModelWatch watch = ModelWatch.of(options.model(), options.modelLoading());
        ModelFile file = ModelFile.read(options.model());
        ModelChat chat = new ModelChat(file.chatTemplate(), file.specialTokens());
        int maxSequenceTokens = SequenceTokens.of(options, file);
        checkBudgetBeforeLoading(options, maxSequenceTokens);
        try (ModelDigest digest = ModelDigest.start(options)) {
            return load(source, options, watch, file, chat, maxSequenceTokens, digest);
        }
    }

    private static LlamaCppEngine load(
            AdapterSource.Session source,
            EngineOptions options,
            ModelWatch watch,
            ModelFile file,
            ModelChat chat,
            int maxSequenceTokens,
            ModelDigest digest) {
        long start = System.nanoTime();
        LlamaModel model = loadModel(options);
        LlamaContext context = null;
        try {
            watch.requireUnchangedByLoad();
            requireDecoder(options, model);
            context = LlamaContext.create(
                    model,
                    maxSequenceTokens,
                    options.parallelSequences(),
                    options.batchSize(),
                    options.threads(),
                    options.loraBatching() == LoraBatching.MIXED,
                    options.deterministic());
            EngineMetrics.Memory memory = context.memory();
            MemoryBudget.check(options, memory.total(), "it needs " + memory);
            String sha256 = digest.await();
            // which may have read another file than the load
            watch.requireUnchangedByLoad();
            LlamaCppEngine engine = new LlamaCppEngine(
                    options, source, model, watch, context, maxSequenceTokens, file.gguf(), sha256, chat);
            engine.loop.start();
            LOG.info(
                    "Opened {} ({}, SHA-256 {}) in {} ms: {} sequences of {} tokens, {} threads, {}, adapters {}.",
                    options.model(),
                    model.description(),
                    sha256,
                    TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start),
                    options.parallelSequences(),
                    maxSequenceTokens,
                    options.threads(),
                    memory,
                    engine.adapters.budget() == 0
                            ? "without a limit"
                            : "up to %d bytes".formatted(engine.adapters.budget()));
            if (options.prefixSharing() && !context.sharing().copies()) {
                LOG.info(
                        "Prompts share no prefixes: the memory of {} cannot be cut or copied. A slot may still reuse its own cells.",
                        options.model());
            }
            return engine;
        } catch (RuntimeException | Error e) {
            if (context != null) {
                context.close();
            }
            model.close();
            throw e;
        } finally {
            LogRelay.relay();
        }
    }

    /** Asks llama.cpp what it would allocate, which depends on the architecture, layer by layer. */
    private static void checkBudgetBeforeLoading(EngineOptions options, int maxSequenceTokens) {
        if (options.memoryBudget() > 0) {
            try {
                EngineMetrics.Memory needed = LlamaModel.memoryNeeded(options, maxSequenceTokens);
                MemoryBudget.check(options, needed.total(), "it would need " + needed);
            } finally {
                LogRelay.relay();
            }
        }
    }

    /**
     * What an engine of these options would allocate, without adapters. Reads only the header of the model.
     *
     * @throws LlamafuException as {@link #open}
     */
    static EngineMetrics.Memory memoryNeeded(EngineOptions options) {
        int maxSequenceTokens = SequenceTokens.of(options, ModelFile.read(options.model()));
        try {
            return LlamaModel.memoryNeeded(options, maxSequenceTokens);
        } finally {
            LogRelay.relay();
        }
    }

    private static LlamaModel loadModel(EngineOptions options) {
        try {
            return LlamaModel.load(options);
        } finally {
            LogRelay.relay();
        }
    }

    private static void requireDecoder(EngineOptions options, LlamaModel model) {
        if (!model.figures().decoder()) {
            throw new LlamafuException(
                    ErrorCode.MODEL_INVALID,
                    "%s (%s) does not generate token after token; choose a decoder-only model."
                            .formatted(options.model(), model.description()));
        }
    }

    private static LlamaAdapter loadAdapter(
            LlamaModel model,
            GgufFile base,
            Function<String, Optional<String>> refusals,
            AdapterFile file,
            boolean mixed,
            Runnable giveWay) {
        GgufFile gguf = GgufReader.read(file.path(), GgufKind.ADAPTER);
        AdapterCompatibility.check(base, gguf, refusals).requireCompatible(file.name());
        file.requireSound();
        // llama.cpp must load the file that was checked
        file.requireUnchanged();
        try {
            return LlamaAdapter.load(model, file.path(), AdapterInfo.of(gguf), mixed, giveWay);
        } finally {
            LogRelay.relay();
        }
    }

    @Override
    public CompletableFuture<CompletionResult> submit(CompletionRequest request) {
        if (request == null) {
            return CompletableFuture.failedFuture(RequestCheck.noRequest());
        }
        long now = System.nanoTime();
        CompletableFuture<CompletionResult> future = openRequests.open(request.timeout(), request.patience(), now);
        gate.readLock().lock();
        try {
            if (closed) {
                future.completeExceptionally(openRequests.closedException());
            } else {
                prepare(request, future, now);
            }
        } catch (RuntimeException e) {
            future.completeExceptionally(coded(e));
        } catch (Error e) {
            future.completeExceptionally(coded(e));
            throw e;
        } finally {
            gate.readLock().unlock();
        }
        return Futures.ofCaller(future);
    }

    private void prepare(CompletionRequest request, CompletableFuture<CompletionResult> future, long submittedNanos) {
        watch.requireUnchanged(submittedNanos);
        byte[] utf8 = RequestCheck.utf8(request);
        int[] prompt = model.tokenize(request.prompt(), utf8, maxSequenceTokens - 1)
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.PROMPT_TOO_LONG,
                        "The prompt of %d bytes has more than %d tokens, but a sequence holds %d with its answer; shorten it or raise context-size (the model was trained for %d)."
                                .formatted(
                                        utf8.length,
                                        maxSequenceTokens - 1,
                                        maxSequenceTokens,
                                        model.figures().trainedContext())));
        if (prompt.length == 0) {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, "The prompt has no tokens; give it a text.");
        }
        if (request.adapters().entries().size() > maxAdapters) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "The stack '%s' has %d adapters, but max-adapters-per-batch is %d."
                            .formatted(
                                    request.adapters(),
                                    request.adapters().entries().size(),
                                    maxAdapters));
        }
        Optional<LabelledPrompt> labelled = request.labels().map(choice -> {
            Set<String> unused = LabelGrammar.distinct(choice.labels());
            return labelTokenizer.tokenize(request.prompt(), prompt, choice.labels(), maxSequenceTokens);
        });
        TokenSampler sampler = TokenSampler.create(model, request.sampling(), maxSequenceTokens);
        CompletableFuture<AdapterCache.Lease> adapterLease = adapters.lease(request.adapters(), turn(future));
        // an overdue or cancelled request stops waiting for its adapters
        Futures.whenComplete(future, (result, failure) -> adapterLease.cancel(false));
        Futures.whenComplete(adapterLease, (lease, failure) -> {
            if (failure != null) {
                sampler.close();
                future.completeExceptionally(coded(failure));
            } else {
                queue(prepared(request, prompt, labelled, sampler, lease, future, submittedNanos));
            }
        });
    }

    private PreparedRequest prepared(
            CompletionRequest request,
            int[] prompt,
            Optional<LabelledPrompt> labelled,
            TokenSampler sampler,
            AdapterCache.Lease lease,
            CompletableFuture<CompletionResult> future,
            long submittedNanos) {
        int[] computed = labelled.map(known -> known.commonTokens(prompt)).orElse(prompt);
        int maxTokens = Math.min(request.maxTokens(), maxSequenceTokens - prompt.length);
        Sequence sequence = new Sequence(computed, lease.spans(prompt), maxTokens, submittedNanos);
        Optional<LabelDecoding> labels = labelled.map(
                known -> labels(known, prompt.length, request.labels().orElseThrow(), sampler, sequence));
        return new PreparedRequest(request, prompt, labels, sequence, sampler, lease, computation(request), future);
    }

    private LabelDecoding labels(
            LabelledPrompt prompt, int promptTokens, LabelChoice choice, TokenSampler sampler, Sequence sequence) {
        if (choice.scoring() == LabelChoice.Scoring.EXACT) {
            LabelScoring scoring = new LabelScoring(prompt, promptTokens, choice, ends);
            scoring.begin(sequence);
            return scoring;
        }
        return new LabelPath(prompt, promptTokens, choice, sampler, ends);
    }

    private CompletionResult.Computation computation(CompletionRequest request) {
        return new CompletionResult.Computation(
                modelDigest,
                build,
                request.sampling().effective(maxSequenceTokens),
                request.maxTokens(),
                request.stop(),
                request.labels());
    }

    private AdapterCache.Turn turn(CompletableFuture<CompletionResult> future) {
        return new AdapterCache.Turn() {
            @Override
            public void waits() {
                openRequests.waits(future, System.nanoTime());
            }

            @Override
            public void proceeds() {
                openRequests.proceeds(future, System.nanoTime());
            }
        };
    }

    /** A request that cannot be queued must fail here: nothing else would complete its future. */
    private void queue(PreparedRequest prepared) {
        try {
            openRequests.waits(prepared.future(), System.nanoTime());
            ask(prepared);
        } catch (RuntimeException | Error e) {
            prepared.future().completeExceptionally(coded(e));
            throw e;
        }
    }

    private void ask(PreparedRequest prepared) {
        CompletionRequest request = prepared.request();
        Sequence sequence = prepared.sequence();
        AnswerMemo.Question question = new AnswerMemo.Question(
                IntBuffer.wrap(prepared.promptTokens()),
                (long) Integer.BYTES * prepared.promptTokens().length,
                sequence.stack(),
                request.sampling(),
                request.maxTokens(),
                request.stop(),
                request.labels());
        AnswerMemo.Asker asker = new AnswerMemo.Asker(
                prepared.future(), sequence.submittedNanos(), () -> loop.add(prepared), prepared::dispose);
        if (memo.mustAsk(question, asker)) {
            loop.add(prepared);
        }
    }

    private static LlamafuException coded(Throwable failure) {
        return LlamafuException.of(failure, ErrorCode.ENGINE_FAILED, "Preparing the request failed");
    }

    @Override
    public ModelChat modelChat() {
        return chat;
    }

    @Override
    public int countTokens(Prompt prompt) {
        byte[] utf8 = Utf8.encode(prompt.toString(), "The text");
        gate.readLock().lock();
        try {
            if (closed) {
                throw openRequests.closedException();
            }
            return model.tokenize(prompt, utf8, Integer.MAX_VALUE)
                    .orElseThrow(() -> new LlamafuException(
                            ErrorCode.PROMPT_TOO_LONG, "The text has more tokens than can be counted; split it."))
                    .length;
        } finally {
            gate.readLock().unlock();
        }
    }

    @Override
    public List<LoadedAdapter> adapters() {
        return inventory.list(adapters.inMemory());
    }

    @Override
    public CompatibilityReport check(Path file) {
        return inventory.check(file);
    }

    @Override
    public CompletableFuture<List<AppliedAdapter>> preload(AdapterStack stack) {
        return adapters.preload(stack);
    }

    @Override
    public boolean unload(String name) {
        AdapterName.check(name);
        return adapters.unload(name);
    }

    @Override
    public int clear() {
        return adapters.evictIdle();
    }

    @Override
    public boolean isOpen() {
        return loop.isAlive() && !watch.hasChanged();
    }

    @Override
    public Duration unattendedFor() {
        return openRequests.unattendedFor();
    }

    @Override
    public EngineMetrics metrics() {
        return loop.metrics(adapters, memo.hits());
    }

    @Override
    public void close() {
        gate.writeLock().lock();
        try {
            if (closed) {
                return;
            }
            closed = true;
        } finally {
            gate.writeLock().unlock();
        }
        memo.close();
        openRequests.failAll(openRequests.closedException());
        // Here, so that a decode that hangs does not keep a remote source open.
        adapters.catalog().close();
        if (!loop.stop(CLOSE_TIMEOUT)) {
            LOG.error("The decode thread did not stop within {}; the model stays in memory.", CLOSE_TIMEOUT);
            return;
        }
        try {
            adapters.stop();
            loop.dispose();
            adapters.close();
            model.close();
        } catch (RuntimeException e) {
            LOG.error("Closing the engine failed; some native memory stays allocated.", e);
        } finally {
            LogRelay.relay();
        }
    }
}
