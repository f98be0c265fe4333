package io.llamafu.flink.completion;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.routing.Carrier;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamElement;
import org.apache.flink.streaming.runtime.streamrecord.StreamElementSerializer;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.function.SerializableFunction;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ScheduledFuture;

/**
 * Asks the engine for up to {@code capacity} records at a time and emits the completions.
 *
 * <p>Flink's async operator lets no answer overtake a watermark, and counts answers that wait for a watermark towards
 * its capacity: one long answer between two watermarks leaves the engine idle. Here an answer is emitted as soon as it
 * is ready, and a watermark when all records before it are done: no record becomes late, and finished answers are not
 * held.
 *
 * <p>Everything runs in the task's thread; an outcome, which comes from any thread, becomes a mail for it.
 */
@Internal
final class CompletionOperator<E, R> extends AbstractStreamOperator<R>
        implements OneInputStreamOperator<E, R>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    /** The name and format are those of Flink's async operator, which earlier versions used. */
    private static final String STATE_NAME = "_async_wait_operator_state_";

    private final Carrier<?, E, R> carrier;
    private final CompletionOperatorFactory.Settings settings;
    private final SerializableFunction<EngineOptions, SharedEngines.Lease> engines;
    private final transient MailboxExecutor mailbox;

    private transient StreamElementSerializer<E> serializer;
    private transient ListState<StreamElement> state;
    private transient InFlight<Asked> inFlight;
    private transient EngineClient client;
    private transient boolean copies;
    private transient boolean idles;

    CompletionOperator(
            StreamOperatorParameters<R> parameters,
            Carrier<?, E, R> carrier,
            CompletionOperatorFactory.Settings settings,
            SerializableFunction<EngineOptions, SharedEngines.Lease> engines,
            MailboxExecutor mailbox) {
        super(parameters);
        this.carrier = carrier;
        this.settings = settings;
        this.engines = engines;
        this.mailbox = mailbox;
    }

    /** A record that the engine has, or whose completion has not been emitted. */
    private final class Asked {
        private final StreamRecord<E> record;
        private final RecordQuestion question;
        private final InFlight.Place<Asked> place;

        @Nullable
        private Outcome outcome;

        @Nullable
        private ScheduledFuture<?> timer;

        private Asked(StreamRecord<E> record) {
            this.record = record;
            this.question =
                    new RecordQuestion(carrier.request(record.getValue()), settings.options(), settings.sampling());
            this.place = inFlight.add(this);
        }
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        serializer = new StreamElementSerializer<>(
                getOperatorConfig().getTypeSerializerIn(0, getContainingTask().getUserCodeClassLoader()));
        state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>(STATE_NAME, serializer));
    }

    /**
     * Asks again for the records in flight, regardless of the capacity, because a task that opens cannot emit anything
     * yet.
     */
    @Override
    public void open() throws Exception {
        super.open();
        client = EngineClient.open(
                settings.options(),
                TaskManager.of(getRuntimeContext()),
                engines,
                getRuntimeContext().getMetricGroup());
        inFlight = new InFlight<>();
        copies = getExecutionConfig().isObjectReuseEnabled();
        AlignedCheckpoints.warn(
                getContainingTask().getJobConfiguration(),
                getRuntimeContext().getTaskInfo().getIndexOfThisSubtask());
        for (StreamElement element : state.get()) {
            // Earlier versions also kept watermarks. The next watermark replaces them, and after a change of the
            // parallelism they would belong to another subtask.
            if (element.isRecord()) {
                ask(element.asRecord());
            }
        }
    }

    @Override
    public void processElement(StreamRecord<E> element) throws Exception {
        StreamRecord<E> record =
                copies ? element.copy(serializer.getContainedTypeSerializer().copy(element.getValue())) : element;
        while (inFlight.size() >= settings.capacity()) {
            mailbox.yield();
        }
        ask(record);
    }

    @SuppressWarnings("FutureReturnValueIgnored") // after the end of the task the outcome is dropped
    private void ask(StreamRecord<E> record) {
        Asked asked = new Asked(record);
        EngineClient.OpenRequest request = client.ask(asked.question);
        watch(asked, request);
        request.outcome().whenComplete((outcome, failure) -> {
            if (failure == null) {
                mailbox.execute(() -> settled(asked, outcome), "A completion of %s", getOperatorName());
            } else {
                getContainingTask()
                        .getEnvironment()
                        .failExternally(new Exception("A record could not be completed.", failure));
            }
        });
    }

    /** The engine ends overdue requests itself; this is for one that hangs. */
    private void watch(Asked asked, EngineClient.OpenRequest request) {
        long patience = EngineClient.patience(settings.options().timeout()).toMillis();
        asked.timer = getProcessingTimeService()
                .registerTimer(getProcessingTimeService().getCurrentProcessingTime() + patience, time -> {
                    if (!request.giveUpIfEngineHangs()) {
                        watch(asked, request);
                    }
                });
    }

    private void settled(Asked asked, Outcome outcome) {
        if (asked.timer != null) {
            asked.timer.cancel(true);
        }
        asked.outcome = outcome;
        if (settings.ordered()) {
            sendFirst();
        } else {
            send(asked);
        }
    }

    /** One at a time, so that checkpoints can run in between. */
    private void sendFirst() {
        Optional<Asked> first = inFlight.first().filter(asked -> asked.outcome != null);
        if (first.isPresent()) {
            send(first.get());
            if (inFlight.first().filter(asked -> asked.outcome != null).isPresent()) {
                mailbox.execute(this::sendFirst, "The next completion of %s", getOperatorName());
            }
        }
    }

    private void send(Asked asked) {
        inFlight.remove(asked.place, asked);
        StreamRecord<R> completion =
                new StreamRecord<>(carrier.outcome(asked.record.getValue(), asked.question.completion(asked.outcome)));
        if (asked.record.hasTimestamp()) {
            completion.setTimestamp(asked.record.getTimestamp());
        }
        output.collect(completion);
        inFlight.pollWatermark().ifPresent(output::emitWatermark);
        if (idles && inFlight.size() == 0) {
            idles = false;
            output.emitWatermarkStatus(WatermarkStatus.IDLE);
        }
    }

    /** Becomes idle once nothing is in flight, because Flink drops the watermarks of an idle operator. */
    @Override
    public void processWatermarkStatus(WatermarkStatus status) throws Exception {
        idles = status.isIdle() && inFlight.size() > 0;
        if (!idles) {
            super.processWatermarkStatus(status);
        }
    }

    @Override
    public void processWatermark(Watermark mark) {
        inFlight.add(mark);
        inFlight.pollWatermark().ifPresent(output::emitWatermark);
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        List<StreamElement> elements = new ArrayList<>(inFlight.size());
        inFlight.records().forEach(asked -> elements.add(asked.record));
        state.update(elements);
    }

    @Override
    public void endInput() throws Exception {
        while (inFlight.size() > 0) {
            mailbox.yield();
        }
    }

    /** The client's close does not throw. */
    @Override
    public void close() throws Exception {
        if (client != null) {
            client.close();
        }
        super.close();
    }
}
