package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.chat.ChatFormat;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Provenance;
import io.llamafu.flink.artifact.JobFiles;
import org.apache.flink.annotation.Internal;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import javax.annotation.Nullable;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * A user of the TaskManager's engine: an operator, or a function or model of SQL. Holds the engine and its files, asks,
 * counts, and applies {@code on-error} to failures.
 *
 * <p>The call that removes a request from {@link #open} settles it: the engine's answer, or the timeout of an engine that
 * hangs. Requests that are open at {@link #close} get no outcome: the last checkpoint has their records.
 *
 * <p>The task's thread asks; outcomes come from any thread.
 */
@Internal
public final class EngineClient implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(EngineClient.class);

    /**
     * Added so that the engine's own timeout comes first: it frees the sequence and reports what the time was spent on.
     */
    private static final Duration TIMEOUT_GRACE = Duration.ofSeconds(10);

    /** Flink's own thread may wait for this long, and must send heartbeats in between. */
    private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(20);

    /** Of the options, or of the files, the memory and the CPU that they need. */
    private static final Set<ErrorCode> OF_THE_CONFIGURATION = EnumSet.of(
            ErrorCode.INVALID_OPTION,
            ErrorCode.CHAT_TEMPLATE_INVALID,
            ErrorCode.MODEL_NOT_FOUND,
            ErrorCode.MODEL_INVALID,
            ErrorCode.MODEL_LOAD_FAILED,
            ErrorCode.ADAPTER_NOT_FOUND,
            ErrorCode.ADAPTER_INVALID,
            ErrorCode.ADAPTER_INCOMPATIBLE,
            ErrorCode.ADAPTER_LOAD_FAILED,
            ErrorCode.OUT_OF_MEMORY,
            ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
            ErrorCode.UNSUPPORTED_CPU);

    private final LlamafuOptions options;
    private final TaskManager taskManager;
    private final Function<EngineOptions, SharedEngines.Lease> engines;
    private final CompletionMetrics metrics;
    private final Set<OpenRequest> open = ConcurrentHashMap.newKeySet();
    private final Set<ErrorCode> logged = ConcurrentHashMap.newKeySet();
    /** The contents of chat templates by location. */
    private final Map<String, String> templateFiles = new ConcurrentHashMap<>();

    private volatile Share share;

    private EngineClient(
            LlamafuOptions options,
            TaskManager taskManager,
            Function<EngineOptions, SharedEngines.Lease> engines,
            MetricGroup group) {
        this.options = checkNotNull(options, "options is null");
        this.taskManager = checkNotNull(taskManager, "taskManager is null");
        this.engines = checkNotNull(engines, "engines is null");
        this.share = checked(openShare());
        this.metrics = new CompletionMetrics(group, this::openEngine);
    }

    /**
     * Fetches remote files and opens the engine, or joins it; that takes seconds to minutes.
     *
     * @param engines where the engine comes from: {@link SharedEngines#acquire}
     * @throws LlamafuException if the files cannot be fetched, or the engine cannot be opened; caused by Flink's {@link
     *     SuppressRestartsException}, which ends the job, if no restart can mend that
     */
    public static EngineClient open(
            LlamafuOptions options,
            TaskManager taskManager,
            Function<EngineOptions, SharedEngines.Lease> engines,
            MetricGroup group) {
        EngineClient client;
        try {
            client = new EngineClient(options, taskManager, engines, group);
        } catch (LlamafuException e) {
            throw isForGood(e.code(), taskManager)
                    ? new LlamafuException(e.code(), e.sentence(), new SuppressRestartsException(e))
                    : e;
        }
        EnginePrefetch.opened(client);
        return client;
    }

    /** A job that ran before ran with this configuration, so what is missing after a restart may come back. */
    private static boolean isForGood(ErrorCode code, TaskManager taskManager) {
        return taskManager.firstAttempt() && OF_THE_CONFIGURATION.contains(code);
    }

    /** The engine, the files it was opened with, and the chat templates for its model. */
    private record Share(JobFiles files, SharedEngines.Lease lease, ChatFormats chats) {
        Share(JobFiles files, SharedEngines.Lease lease, Map<String, String> templateFiles) {
            this(files, lease, new ChatFormats(lease.engine().modelChat(), templateFiles));
        }

        InferenceEngine engine() {
            return lease.engine();
        }

        void close() {
            try {
                lease.close();
            } finally {
                files.close();
            }
        }
    }

    private Share openShare() {
        taskManager.memory().ifPresent(memory -> SharedEngines.reserve(memory.managed()));
        taskManager.classLoader().beforeClosing("llamafu-engines", () -> SharedEngines.closeAll(CLOSE_PATIENCE));
        JobFiles files = JobFiles.acquire(options.artifacts(taskManager.temporaryFolder()));
        try {
            return new Share(files, acquire(files), templateFiles);
        } catch (RuntimeException | Error e) {
            files.close();
            throw e;
        }
    }

    /** Checks a new share, and closes it if the job cannot use it. */
    private Share checked(Share opened) {
        try {
            if (opened.lease().opened()) {
                NativeMemory.warnIfShort(taskManager);
            }
            opened.chats().check(options.chat(), opened.lease().opened());
            return opened;
        } catch (RuntimeException | Error e) {
            opened.close();
            throw e;
        }
    }

    private SharedEngines.Lease acquire(JobFiles files) {
        EngineOptions wanted =
                options.toEngineOptions(files.model(), files.modelDigest(), files.adapters(), taskManager.gpu());
        try {
            return engines.apply(wanted);
        } catch (LlamafuException e) {
            throw files.explain(e);
        }
    }

    LlamafuOptions options() {
        return options;
    }

    /** The current engine, even if it has failed. */
    InferenceEngine openEngine() {
        return share.engine();
    }

    /**
     * The engine, opened anew if it has failed permanently, so that only the records in it at that time are errors.
     * Blocks while the model loads.
     */
    public InferenceEngine engine() {
        return openShareAnewIfFailed().engine();
    }

    private Share openShareAnewIfFailed() {
        Share before = share;
        if (!before.engine().isOpen()) {
            LOG.warn("The engine has failed and is opened anew.");
            share = checked(openShare());
            before.close();
        }
        return share;
    }

    /** Asks without waiting. Does not throw: every failure, also of the question, becomes the outcome. */
    @SuppressWarnings("FutureReturnValueIgnored") // settle lets no exception escape
    public OpenRequest ask(Question question) {
        metrics.request();
        OpenRequest asked = new OpenRequest(question);
        open.add(asked);
        asked.answer.whenComplete((answer, failure) -> settle(asked, answer, failure));
        return asked;
    }

    /**
     * How long callers wait for a request before they {@linkplain OpenRequest#giveUpIfEngineHangs check} the engine.
     */
    public static Duration patience(Duration timeout) {
        return timeout.plus(TIMEOUT_GRACE);
    }

    /** A question that was asked; equal only to itself. */
    public final class OpenRequest {
        private final Question question;
        private final Optional<CompletionRequest> request;
        private final Optional<ChatFormat> chat;
        private final CompletableFuture<CompletionResult> answer;
        private final CompletableFuture<Outcome> outcome = new CompletableFuture<>();

        private OpenRequest(Question question) {
            this.question = question;
            CompletionRequest submitted = null;
            Optional<ChatFormat> format = Optional.empty();
            CompletableFuture<CompletionResult> answered;
            try {
                CompletionRequest wanted = question.request();
                submitted = wanted;
                Share used = openShareAnewIfFailed();
                format = used.chats().of(question.chat(), wanted.prompt());
                submitted = format.map(chosen -> chosen.apply(wanted)).orElse(wanted);
                answered = used.engine().submit(submitted);
            } catch (RuntimeException e) {
                answered = CompletableFuture.failedFuture(e);
            }
            this.request = Optional.ofNullable(submitted);
            this.chat = format;
            this.answer = answered;
        }

        /** Fails with a {@link LlamafuException} if {@code on-error} is {@code fail}. */
        public CompletableFuture<Outcome> outcome() {
            return outcome;
        }

        /** The SHA-256 of the chat template that rendered the prompt, if one did. */
        public Optional<String> templateDigest() {
            return chat.map(format -> format.template().digest());
        }

        private Duration timeout() {
            return request.map(CompletionRequest::timeout).orElse(options.timeout());
        }

        /**
         * Settles the request with {@code DEADLINE_EXCEEDED} if the engine has not checked its deadlines for the whole
         * timeout of this one. A working engine answers each request itself, however long that waits for others.
         */
        void giveUpIfEngineHangs() {
            if (!outcome.isDone() && !isEngineAtWork()) {
                settle(
                        this,
                        null,
                        new LlamafuException(
                                ErrorCode.DEADLINE_EXCEEDED,
                                "The record was not answered within its timeout of %s, and the engine did not say why."
                                        .formatted(timeout())));
            }
        }

        private boolean isEngineAtWork() {
            InferenceEngine engine = openEngine();
            return engine.isOpen() && engine.unattendedFor().compareTo(timeout()) < 0;
        }

        /**
         * Waits; for an engine that hangs, at most the timeout and the engine's grace.
         *
         * @throws LlamafuException if the record failed and {@code on-error} is {@code fail}, or with ENGINE_CLOSED if the
         *     thread is interrupted
         */
        public Outcome await() {
            try {
                while (true) {
                    try {
                        return outcome.get(patience(timeout()).toMillis(), TimeUnit.MILLISECONDS);
                    } catch (TimeoutException e) {
                        giveUpIfEngineHangs();
                    }
                }
            } catch (InterruptedException e) {
                open.remove(this);
                answer.cancel(false);
                Thread.currentThread().interrupt();
                throw new LlamafuException(
                        ErrorCode.ENGINE_CLOSED, "The task was cancelled while it waited for an answer.", e);
            } catch (ExecutionException e) {
                throw coded(e);
            }
        }
    }

    private void settle(OpenRequest asked, @Nullable CompletionResult answer, @Nullable Throwable failure) {
        if (!open.remove(asked)) {
            return;
        }
        try {
            // Frees the sequence of a request that was given up.
            asked.answer.cancel(false);
            Optional<LlamafuException> error = Optional.ofNullable(failure).map(EngineClient::coded);
            asked.request.ifPresent(request -> metrics.outcome(request, error.map(LlamafuException::code)));
            Outcome outcome = error.isPresent() ? failed(asked, error.get()) : answered(asked, answer);
            asked.outcome.complete(withPrompt(asked, outcome));
        } catch (Throwable e) {
            asked.outcome.completeExceptionally(coded(e));
        }
    }

    private Outcome answered(OpenRequest asked, CompletionResult answer) {
        CompletionResult shown;
        try {
            shown = asked.question.chat().thinking().apply(asked.request.orElseThrow(), answer);
            asked.question.check(shown);
        } catch (LlamafuException e) {
            return failed(asked, e);
        }
        metrics.completion(shown);
        Provenance provenance = Provenances.of(
                answer.computation(),
                asked.question.promptTemplateDigest(),
                asked.templateDigest().orElse(null));
        return Outcome.answered(shown, provenance);
    }

    private static Outcome withPrompt(OpenRequest asked, Outcome outcome) {
        return asked.question.promptInOutput() && asked.request.isPresent()
                ? outcome.withPrompt(asked.request.get().prompt().toString())
                : outcome;
    }

    private Outcome failed(OpenRequest asked, LlamafuException error) {
        metrics.error(error.code());
        String record = "%s: %s".formatted(asked.question.subject(), error.sentence());
        return switch (asked.question.onError()) {
            case FAIL -> throw new LlamafuException(error.code(), record, error);
            case NULL -> {
                log(error.code(), record);
                yield Outcome.nothing();
            }
            case EMIT -> {
                log(error.code(), record);
                yield Outcome.failed(error);
            }
        };
    }

    private static LlamafuException coded(Throwable failure) {
        return LlamafuException.of(failure, ErrorCode.ENGINE_FAILED, "The engine failed");
    }

    /** Warns about the first error of each code only, so that the log is not flooded; the metrics count all of them. */
    private void log(ErrorCode code, String record) {
        if (logged.add(code)) {
            LOG.warn("{}: {} (more of this code are counted, not logged)", code, record);
        } else {
            LOG.debug("{}: {}", code, record);
        }
    }

    /**
     * Cancels open requests and returns the engine. Idempotent, and never throws, because that would end the
     * TaskManager.
     */
    @Override
    public void close() {
        try {
            EnginePrefetch.closed(this);
            List<OpenRequest> cancelled = List.copyOf(open);
            open.clear();
            cancelled.forEach(asked -> asked.answer.cancel(false));
        } catch (Throwable e) {
            LOG.warn("Closing went wrong; going on.", e);
        }
        try {
            share.close();
        } catch (Throwable e) {
            LOG.warn("Closing went wrong; going on.", e);
        }
    }
}
