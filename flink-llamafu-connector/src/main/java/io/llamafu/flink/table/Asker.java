package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.completion.EngineSession;
import io.llamafu.flink.completion.Leases;
import io.llamafu.flink.completion.TaskManager;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.functions.FunctionContext;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Asks the engine of the TaskManager for a function or a model, and lets {@code on-error} decide what becomes of a failure.
 * Used by the task's thread; answers come from the engine's. Whoever takes a question out of {@link #open} settles it;
 * those still open at {@link #close} stay unanswered, as the task has ended.
 */
final class Asker implements Serializable {
    private static final long serialVersionUID = 1L;

    private final CallOptions options;

    private transient CallSettings settings;
    private transient Memo<Map<String, String>, CallSettings> changed;
    private transient EngineSession session;
    private transient Set<Asked> open;

    /**
     * What a call says.
     *
     * @param task computed when it is asked, so that what is wrong with it is a failure of the record
     * @param texts of the columns of the template
     * @param stack in its written form
     * @param changes of the options
     */
    record Question(Supplier<Task> task, List<String> texts, String stack, Map<String, String> changes) {
        Question withChanges(Map<String, String> others) {
            return new Question(task, texts, stack, others);
        }

        /** One that has failed before anybody could be asked. */
        Question failing(LlamafuException failure) {
            Supplier<Task> noTask = () -> {
                throw failure;
            };
            return new Question(noTask, texts, stack, Map.of());
        }
    }

    /** A question on its way; each is itself only. */
    private static final class Asked {
        private final CallSettings settings;
        private final Task task;
        private final CompletableFuture<Completion> answer;
        /** Fails with the error that {@code on-error} = {@code fail} lets through. */
        private final CompletableFuture<Outcome> outcome = new CompletableFuture<>();

        private Asked(CallSettings settings, Task task, CompletableFuture<Completion> answer) {
            this.settings = settings;
            this.task = task;
            this.answer = answer;
        }
    }

    Asker(CallOptions options) {
        this.options = options;
    }

    /**
     * Opens the engine.
     *
     * @param metrics the group of the function or the model
     */
    void open(FunctionContext context, MetricGroup metrics) {
        settings = options.settings();
        changed = new Memo<>(options::settings);
        open = ConcurrentHashMap.newKeySet();
        TaskManager taskManager = TaskManager.of(context, context.getExternalResourceInfos(TaskManager.GPU_RESOURCE));
        session = EngineSession.open(settings.options(), taskManager, Leases::shared, metrics);
    }

    InferenceEngine engine() {
        return session.engine();
    }

    /** Asks without waiting. Does not throw. */
    CompletableFuture<Outcome> ask(Question question) {
        return start(question).outcome;
    }

    /**
     * Asks and waits; of an engine that hangs, at the longest for the timeout and the engine's grace.
     *
     * @throws LlamafuException if it failed, and {@code on-error} is {@code fail}
     */
    Outcome askAndWait(Question question) {
        Asked asked = start(question);
        Duration timeout = asked.settings.timeout();
        try {
            return await(asked, timeout);
        } catch (TimeoutException e) {
            if (open.remove(asked)) {
                asked.answer.cancel(false);
                return failed(asked, session.unanswered(timeout));
            }
            return answeredJustNow(asked);
        } catch (InterruptedException e) {
            open.remove(asked);
            asked.answer.cancel(false);
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ENGINE_CLOSED, "The task was cancelled while it waited for an answer.", e);
        } catch (ExecutionException e) {
            throw EngineSession.coded(e.getCause());
        }
    }

    /** As long as the engine is at work, it answers each request itself, however long that waits for others. */
    private Outcome await(Asked asked, Duration timeout)
            throws InterruptedException, ExecutionException, TimeoutException {
        while (true) {
            try {
                return asked.outcome.get(EngineSession.patience(timeout).toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                if (!session.isEngineAtWork(timeout)) {
                    throw e;
                }
            }
        }
    }

    private static Outcome answeredJustNow(Asked asked) {
        try {
            return asked.outcome.join();
        } catch (CompletionException e) {
            throw EngineSession.coded(e);
        }
    }

    @SuppressWarnings("FutureReturnValueIgnored") // settle lets nothing escape
    private Asked start(Question question) {
        // These decide about a call whose own settings are wrong.
        CallSettings used = settings;
        Task task = new Task.Generation();
        CompletableFuture<Completion> answer;
        try {
            used = question.changes().isEmpty() ? settings : changed.get(question.changes());
            task = question.task().get();
            CompletionRequest request = task.request(
                            used, used.template().render(question.texts()), AdapterStack.parse(question.stack()))
                    .withPatience(options.longest());
            answer = session.submit(() -> request);
        } catch (RuntimeException e) {
            answer = session.submit(() -> {
                throw e;
            });
        }
        Asked asked = new Asked(used, task, answer);
        open.add(asked);
        answer.whenComplete((completion, failure) -> settle(asked, completion, failure));
        return asked;
    }

    private void settle(Asked asked, @Nullable Completion completion, @Nullable Throwable failure) {
        if (!open.remove(asked)) {
            return;
        }
        try {
            asked.outcome.complete(
                    failure == null ? answered(asked, completion) : failed(asked, session.failed(failure)));
        } catch (Throwable e) {
            asked.outcome.completeExceptionally(EngineSession.coded(e));
        }
    }

    private Outcome answered(Asked asked, Completion completion) {
        String answer;
        try {
            answer = asked.task.answer(completion);
        } catch (LlamafuException e) {
            return failed(asked, session.failed(e));
        }
        session.answered(completion);
        return Outcome.answered(answer, completion);
    }

    private Outcome failed(Asked asked, LlamafuException error) {
        String record = "%s: %s".formatted(options.user(), error.getMessage());
        return switch (asked.settings.options().onError()) {
            case FAIL -> throw new LlamafuException(error.code(), record, error);
            case NULL -> {
                session.log(error.code(), record);
                yield Outcome.nothing();
            }
            case EMIT -> {
                session.log(error.code(), record);
                yield Outcome.failed(error);
            }
        };
    }

    /** Idempotent; does not throw. */
    void close() {
        if (session != null) {
            List<Asked> cancelled = List.copyOf(open);
            open.clear();
            cancelled.forEach(asked -> asked.answer.cancel(false));
            session.close();
        }
    }
}
