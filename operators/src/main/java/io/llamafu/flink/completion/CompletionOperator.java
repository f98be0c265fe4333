package io.llamafu.flink.completion;

import io.llamafu.flink.records.RecordsInFlight;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.util.FunctionUtils;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.streaming.api.functions.async.CollectionSupplier;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.operators.AbstractUdfStreamOperator;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamElement;
import org.apache.flink.streaming.runtime.streamrecord.StreamElementSerializer;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Runs a {@link CompletionFunction} on up to {@code capacity} records at a time and emits the completions.
 *
 * <p>Flink's async operator lets no answer overtake a watermark, and counts answers that wait for a watermark towards
 * its capacity: one long answer between two watermarks leaves the engine idle. Here an answer is emitted as soon as it
 * is ready, and a watermark when all records before it are done: no record becomes late, and finished answers are not
 * held.
 *
 * <p>Everything runs in the task's thread except {@link Asked}, whose methods any thread may call.
 */
@Internal
final class CompletionOperator<E, R> extends AbstractUdfStreamOperator<R, CompletionFunction<E, R>>
        implements OneInputStreamOperator<E, R>, BoundedOneInput {
    private static final long serialVersionUID = 1L;

    /** The name and format are those of Flink's async operator, which earlier versions used. */
    private static final String STATE_NAME = "_async_wait_operator_state_";

    private final CompletionOperatorFactory.Settings settings;
    private final transient MailboxExecutor mailbox;

    private transient StreamElementSerializer<E> serializer;
    private transient ListState<StreamElement> state;
    private transient InFlight<Asked> inFlight;
    private transient boolean copies;
    private transient boolean idles;

    CompletionOperator(
            StreamOperatorParameters<R> parameters,
            CompletionFunction<E, R> function,
            CompletionOperatorFactory.Settings settings,
            MailboxExecutor mailbox) {
        super(parameters, function);
        this.settings = settings;
        this.mailbox = mailbox;
        FunctionUtils.setFunctionRuntimeContext(function, getRuntimeContext());
    }

    /** A record that was given to the function and whose completion has not been emitted. */
    private final class Asked implements ResultFuture<R> {
        private final StreamRecord<E> record;
        private final InFlight.Place<Asked> place;
        private final AtomicBoolean settled = new AtomicBoolean();

        @Nullable
        private Collection<R> completions;

        @Nullable
        private ScheduledFuture<?> timer;

        private Asked(StreamRecord<E> record) {
            this.record = record;
            this.place = inFlight.add(this);
        }

        @Override
        public void complete(Collection<R> results) {
            if (settled.compareAndSet(false, true)) {
                mailbox.execute(() -> completed(this, results), "A completion of %s", getOperatorName());
            }
        }

        @Override
        public void complete(CollectionSupplier<R> supplier) {
            try {
                complete(supplier.get());
            } catch (Exception e) {
                completeExceptionally(e);
            }
        }

        @Override
        public void completeExceptionally(Throwable error) {
            if (settled.compareAndSet(false, true)) {
                getContainingTask()
                        .getEnvironment()
                        .failExternally(new Exception("A record could not be completed.", error));
            }
        }
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        serializer = new StreamElementSerializer<>(
                getOperatorConfig().getTypeSerializerIn(0, getContainingTask().getUserCodeClassLoader()));
        ListStateDescriptor<StreamElement> descriptor = new ListStateDescriptor<>(STATE_NAME, serializer);
        state = RecordsInFlight.open(() -> context.getOperatorStateStore().getListState(descriptor));
    }

    /**
     * Asks again for the records in flight, regardless of the capacity, because a task that opens cannot emit anything
     * yet.
     */
    @Override
    public void open() throws Exception {
        super.open();
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

    private void ask(StreamRecord<E> record) {
        Asked asked = new Asked(record);
        watch(asked);
        userFunction.asyncInvoke(record.getValue(), asked);
    }

    /** The engine ends overdue requests itself; this is for an engine that hangs. */
    private void watch(Asked asked) {
        long now = getProcessingTimeService().getCurrentProcessingTime();
        asked.timer = getProcessingTimeService()
                .registerTimer(now + settings.patience().toMillis(), time -> {
                    if (!asked.settled.get()) {
                        userFunction.timeout(asked.record.getValue(), asked);
                    }
                    if (!asked.settled.get()) {
                        watch(asked);
                    }
                });
    }

    private void completed(Asked asked, Collection<R> completions) {
        if (asked.timer != null) {
            asked.timer.cancel(true);
        }
        asked.completions = completions;
        if (settings.ordered()) {
            sendFirst();
        } else {
            send(asked);
        }
    }

    /** One at a time, so that checkpoints can run in between. */
    private void sendFirst() {
        Optional<Asked> first = inFlight.first().filter(asked -> asked.completions != null);
        if (first.isPresent()) {
            send(first.get());
            if (inFlight.first().filter(asked -> asked.completions != null).isPresent()) {
                mailbox.execute(this::sendFirst, "The next completion of %s", getOperatorName());
            }
        }
    }

    private void send(Asked asked) {
        inFlight.remove(asked.place, asked);
        for (R completion : asked.completions) {
            StreamRecord<R> record = new StreamRecord<>(completion);
            if (asked.record.hasTimestamp()) {
                record.setTimestamp(asked.record.getTimestamp());
            }
            output.collect(record);
        }
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
}
