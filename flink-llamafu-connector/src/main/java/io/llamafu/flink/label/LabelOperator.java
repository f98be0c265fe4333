package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.Futures;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.LabelScores;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.OnError;
import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.completion.Outcome;
import io.llamafu.flink.completion.Question;
import io.llamafu.flink.completion.TaskManager;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.api.common.accumulators.ListAccumulator;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.InstantiationUtil;

import javax.annotation.Nullable;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Labels parts. The next parts are read while the last questions of the ones before are answered, so that the model has always
 * enough of them. The engine is opened for the first question that no ledger answers.
 *
 * <p>Only the task's thread works here; outcomes reach it through a queue.
 */
final class LabelOperator extends AbstractStreamOperator<String>
        implements OneInputStreamOperator<byte[], String>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    static final String ROWS = "llamafu-rows";
    static final String ASKED = "llamafu-asked";
    static final String TOKENS = "llamafu-tokens";
    static final String ERRORS = "llamafu-errors";
    static final String FAILURES = "llamafu-failures";

    /** Rows of open parts are in memory. */
    private static final int MOST_OPEN_PARTS = 4;

    private static final int LEAST_IN_FLIGHT = 64;

    /** What may be gone when the same question is asked again. */
    private static final Set<ErrorCode> PASSING = EnumSet.of(
            ErrorCode.DEADLINE_EXCEEDED,
            ErrorCode.ENGINE_CLOSED,
            ErrorCode.ENGINE_FAILED,
            ErrorCode.OUT_OF_MEMORY,
            ErrorCode.ARTIFACT_UNAVAILABLE,
            ErrorCode.ADAPTER_LOAD_FAILED);

    private final LabelSettings settings;
    private final LabelStore store;
    private final String run;

    private transient LongCounter rowsDone;
    private transient LongCounter asked;
    private transient LongCounter tokens;
    private transient LongCounter errors;
    private transient ListAccumulator<String> failures;
    private transient Identity identity;
    private transient RowRequests requests;
    private transient EngineClient client;
    private transient Map<String, List<Path>> journals;
    private transient BlockingQueue<Settled> settled;
    private transient Deque<InFlight> inFlight;
    private transient List<OpenPart> open;
    private transient List<OpenPart> abandoned;

    LabelOperator(StreamOperatorParameters<String> parameters, LabelSettings settings, LabelStore store, String run) {
        super(parameters);
        this.settings = settings;
        this.store = store;
        this.run = run;
    }

    /** Chains it to the source, so that a subtask asks for a part when it has room for one. */
    static final class Factory extends AbstractStreamOperatorFactory<String>
            implements OneInputStreamOperatorFactory<byte[], String> {
        private static final long serialVersionUID = 1L;

        private final LabelSettings settings;
        private final LabelStore store;
        private final String run;

        Factory(LabelSettings settings, LabelStore store, String run) {
            this.settings = settings;
            this.store = store;
            this.run = run;
        }

        @Override
        @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"
        }) // Flink requests the type that getStreamOperatorClass returns
        public <T extends StreamOperator<String>> T createStreamOperator(StreamOperatorParameters<String> parameters) {
            return (T) new LabelOperator(parameters, settings, store, run);
        }

        @Override
        @SuppressWarnings("rawtypes")
        public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
            return LabelOperator.class;
        }
    }

    /** A row that the model answers. */
    private record InFlight(OpenPart part, int row, RowRequests.Asked question, EngineClient.OpenRequest asked) {}

    private record Settled(InFlight row, @Nullable Outcome outcome, @Nullable Throwable failure) {}

    @Override
    public void open() throws Exception {
        super.open();
        rowsDone = counter(ROWS);
        asked = counter(ASKED);
        tokens = counter(TOKENS);
        errors = counter(ERRORS);
        failures = new ListAccumulator<>();
        getRuntimeContext().addAccumulator(FAILURES, failures);
        settled = new LinkedBlockingQueue<>();
        inFlight = new ArrayDeque<>();
        open = new ArrayList<>();
        abandoned = new ArrayList<>();
        identity = new Identity(settings.options(), taskManager().temporaryFolder());
        requests = new RowRequests(settings, identity);
        journals = journals(store);
    }

    private LongCounter counter(String name) {
        LongCounter counter = new LongCounter();
        getRuntimeContext().addAccumulator(name, counter);
        return counter;
    }

    private TaskManager taskManager() {
        return TaskManager.of(
                getRuntimeContext(), getRuntimeContext().getExternalResourceInfos(TaskManager.GPU_RESOURCE));
    }

    /** By {@link OpenPart#journalName}. */
    static Map<String, List<Path>> journals(LabelStore store) {
        Map<String, List<Path>> journals = new HashMap<>();
        for (FileStatus status : store.files(store.hidden("journal"))) {
            String name = status.getPath().getName();
            journals.computeIfAbsent(name.substring(0, Math.max(0, name.lastIndexOf('.'))), any -> new ArrayList<>())
                    .add(status.getPath());
        }
        return journals;
    }

    @Override
    public void processElement(StreamRecord<byte[]> element) throws Exception {
        while (open.size() >= MOST_OPEN_PARTS) {
            settleNext();
        }
        Part part = InstantiationUtil.deserializeObject(element.getValue(), Part.class.getClassLoader());
        List<Path> ofPart = journals.getOrDefault(OpenPart.journalName(part.name()), List.of());
        PartLedger ledger = PartLedger.load(store, part, ofPart);
        if (ledger.isUpToDate(part, settings, identity, store)) {
            rowsDone.add(part.rows());
            ofPart.forEach(store::delete);
            return;
        }
        OpenPart opened = new OpenPart(part, ledger, store, ofPart);
        open.add(opened);
        try {
            read(opened);
        } catch (IOException | UnsupportedOperationException e) {
            fail(opened, InputPlan.unavailable(part.file().path().getPath(), e));
            return;
        } catch (LlamafuException e) {
            if (e.code() != ErrorCode.INPUT_UNAVAILABLE) {
                throw e;
            }
            fail(opened, e);
            return;
        }
        writeIfAnswered(opened);
    }

    private void read(OpenPart opened) throws IOException, InterruptedException {
        Part part = opened.part();
        RowsDigest digest = new RowsDigest();
        try (RowReader reader = settings.format().read(part.file(), settings.delimiter(), part.from())) {
            for (int i = 0; i < part.rows(); i++) {
                Row row = reader.next();
                if (row == null) {
                    break;
                }
                digest.add(row.content());
                take(opened, row);
                while (!settled.isEmpty()) {
                    settleNext();
                }
            }
            if (!digest.finish(reader.schema()).equals(part.digest())) {
                throw new LlamafuException(
                        ErrorCode.INPUT_UNAVAILABLE,
                        "'%s' changed while it was read; run again when it is complete."
                                .formatted(part.file().path().getPath()));
            }
            opened.complete(reader.schema());
        }
    }

    /** Answers a row from the ledger, or asks the model, or says what is wrong with it. */
    private void take(OpenPart opened, Row row) throws InterruptedException {
        int number = opened.add(row.record(), gold(row));
        RowRequests.Asked question;
        try {
            question = requests.of(row);
        } catch (LlamafuException e) {
            if (e.code() == ErrorCode.ARTIFACT_UNAVAILABLE || settings.options().onError() == OnError.FAIL) {
                throw e;
            }
            settle(opened, number, Answer.failed(null, null, null, e), false);
            return;
        }
        Answer known = opened.ledger().known(question.key());
        if (known != null) {
            settle(opened, number, known.withStack(question.stack().toString()), false);
        } else {
            ask(opened, number, row.place(), question);
        }
    }

    @Nullable
    private String gold(Row row) {
        try {
            return settings.goldField() == null || row.malformed() != null
                    ? null
                    : Answer.wellFormed(row.optional(settings.goldField()));
        } catch (LlamafuException e) {
            return null;
        }
    }

    private void ask(OpenPart opened, int row, String place, RowRequests.Asked question) throws InterruptedException {
        while (inFlight.size()
                >= Math.max(LEAST_IN_FLIGHT, 4 * settings.options().parallelSequences())) {
            settleNext();
        }
        if (client == null) {
            client = EngineClient.open(settings.options(), taskManager(), SharedEngines::acquire, getMetricGroup());
        }
        EngineClient.OpenRequest asking = client.ask(new RowQuestion(settings, question.request(), place));
        InFlight waiting = new InFlight(opened, row, question, asking);
        inFlight.add(waiting);
        Futures.whenComplete(
                asking.outcome(), (outcome, failure) -> settled.add(new Settled(waiting, outcome, failure)));
    }

    private record RowQuestion(LabelSettings settings, CompletionRequest request, String subject) implements Question {
        @Override
        public void check(CompletionResult answer) {
            settings.task().check(answer);
        }

        @Override
        public String promptTemplateDigest() {
            return Sha256.of(settings.prompt().literals().toString());
        }

        @Override
        public boolean promptInOutput() {
            return false;
        }

        @Override
        public ChatOptions chat() {
            return settings.options().chat();
        }

        @Override
        public OnError onError() {
            return settings.options().onError();
        }
    }

    /** Waits for an outcome; for an engine that hangs, a bounded time. */
    private void settleNext() throws InterruptedException {
        Settled next =
                settled.poll(EngineClient.patience(settings.options().timeout()).toMillis(), TimeUnit.MILLISECONDS);
        if (next == null) {
            // Settles it if the engine hangs.
            Outcome unused = inFlight.peekFirst().asked().await();
            next = settled.take();
        }
        inFlight.remove(next.row());
        if (next.failure() != null) {
            throw LlamafuException.of(next.failure(), ErrorCode.ENGINE_FAILED, "The engine failed");
        }
        settle(next.row(), next.outcome());
    }

    private void settle(InFlight row, Outcome outcome) {
        Answer answer = answer(row.question(), outcome);
        boolean retry =
                outcome.error() != null && PASSING.contains(outcome.error().code());
        boolean worked = outcome.completion() != null && !outcome.completion().isRemembered();
        row.part()
                .stats()
                .addAsked(answer, row.question().request().prompt().toString().length(), worked, isLabelled());
        asked.add(1L);
        tokens.add(worked ? answer.generatedTokens() : 0L);
        if (answer.key() != null && !retry) {
            row.part().ledger().answers().put(answer.key(), answer);
            try {
                row.part().record(answer);
            } catch (IOException e) {
                throw LabelStore.failed("written", store.hidden("journal"), e);
            }
        }
        settle(row.part(), row.row(), answer, retry);
        writeIfAnswered(row.part());
    }

    private boolean isLabelled() {
        return settings.task() == LabelTask.CLASSIFY;
    }

    private Answer answer(RowRequests.Asked question, Outcome outcome) {
        if (outcome.error() != null) {
            return Answer.failed(question.key(), question.stack(), question.adapters(), outcome.error());
        }
        CompletionResult completion = outcome.completion();
        // Others than those that were looked up for the question, if an adapter was published again meanwhile.
        String adapters = Identity.describe(completion.adapters());
        return new Answer(
                QuestionKeys.of(settings, outcome.provenance().getModelDigest(), question.request(), adapters),
                completion.text(),
                completion
                        .labels()
                        .map(LabelScores::probability)
                        .map(Answer::rounded)
                        .orElse(null),
                question.stack().toString(),
                adapters,
                completion.promptTokens(),
                completion.generatedTokens(),
                null,
                null,
                completion.timings().totalMillis(),
                completion
                        .labels()
                        .map(scores -> Answer.rounded(scores.probabilities()))
                        .orElse(null));
    }

    private void settle(OpenPart part, int row, Answer answer, boolean retry) {
        part.settle(row, answer, retry);
        rowsDone.add(1L);
        if (answer.errorCode() != null) {
            errors.add(1L);
        }
    }

    private void writeIfAnswered(OpenPart part) {
        if (!part.isAnswered() || !open.remove(part)) {
            return;
        }
        String name = part.part().name();
        Map<String, String> stacks = new TreeMap<>();
        for (int i = 0; i < part.answers().size(); i++) {
            Answer answer = part.answers().get(i);
            part.stats()
                    .add(
                            "%s#%d".formatted(name, i + 1),
                            answer,
                            part.gold(i),
                            settings.options().labels().labels());
            if (answer.stack() != null) {
                // Two versions of an adapter in one part: the rows of the earlier one are asked again next time.
                stacks.merge(answer.stack(), answer.adapters(), (one, other) -> one.equals(other) ? one : "several");
            }
        }
        Path rows = store.writeTemporary(out -> {
            RowWriter writer = settings.format().write(out, part.schema(), settings.delimiter(), settings.prefix());
            for (int i = 0; i < part.answers().size(); i++) {
                writer.write(part.records().get(i), part.answers().get(i));
            }
            writer.finish();
        });
        PartLedger.Header header = new PartLedger.Header(
                part.part().file().uri(),
                name,
                part.answers().size(),
                part.part().digest(),
                settings.digest(),
                identity.modelDigest(),
                stacks,
                store.length(rows),
                part.toRetry(),
                run,
                part.stats());
        store.write(
                store.pendingLedger(name),
                PartLedger.content(header, part.answers(), part.ledger().answers()));
        store.replace(rows, store.rows(name, settings.format()));
        store.replace(store.pendingLedger(name), store.ledger(name));
        try {
            part.dropJournals();
        } catch (IOException e) {
            throw LabelStore.failed("written", store.hidden("journal"), e);
        }
    }

    /** The part stays as it was. Its answers so far are in the journal. */
    private void fail(OpenPart part, LlamafuException failure) {
        open.remove(part);
        abandoned.add(part);
        LOG.warn("{}", failure.getMessage());
        failures.add(failure.getMessage());
    }

    @Override
    public void endInput() throws Exception {
        while (!inFlight.isEmpty()) {
            settleNext();
        }
    }

    private static void closeJournal(OpenPart part) {
        try {
            part.closeJournal();
        } catch (IOException e) {
            LOG.warn("A journal was not closed.", e);
        }
    }

    @Override
    public void close() throws Exception {
        if (open != null) {
            open.forEach(LabelOperator::closeJournal);
            abandoned.forEach(LabelOperator::closeJournal);
        }
        if (client != null) {
            client.close();
        }
        if (identity != null) {
            identity.close();
        }
        super.close();
    }
}
