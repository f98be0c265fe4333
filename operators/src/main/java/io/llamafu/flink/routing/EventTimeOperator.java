package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.api.operators.sorted.state.BatchExecutionInternalTimeServiceManager;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.MailboxExecutorFactory;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

import javax.annotation.Nullable;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Holds back the elements of its first input until the watermark has passed their time, and then decides them.
 *
 * <p>A watermark can release very many elements, while the operators after this one process them slowly. They are
 * therefore released a few at a time, and other work of the task, such as a checkpoint, goes first. Flink's own
 * operators release them in one loop, in which no checkpoint can complete. Meanwhile the watermark is held, so it
 * overtakes no element.
 *
 * <p>In batch execution nothing waits. Flink delivers the elements key by key, with all changes of a key before its
 * elements.
 *
 * @param <E> the elements
 * @param <C> the changes of the second input
 */
@Internal
abstract class EventTimeOperator<E, C> extends AbstractStreamOperator<E>
        implements TwoInputStreamOperator<E, C, E>, Triggerable<String, VoidNamespace> {
    private static final long serialVersionUID = 1L;

    private final Carrier<?, E, ?> carrier;

    /** For the work of this operator. */
    private transient MailboxExecutor mailbox;
    /** For all work of the task. */
    private transient MailboxExecutor everything;

    private transient InternalTimerService<VoidNamespace> timers;
    private transient WatermarkGate<E> gate;
    private transient boolean batch;
    private transient Counter lateRecords;
    private transient Counter lateChanges;

    /** The newest watermark received. */
    private transient long newest;
    /** All elements up to this time have been emitted, and this watermark has been forwarded. */
    private transient long released;
    /** The watermark whose elements are being released, or {@link #released}. */
    private transient long releasing;

    private transient boolean continuationScheduled;

    @Nullable
    private transient WatermarkStatus heldStatus;

    EventTimeOperator(Carrier<?, E, ?> carrier) {
        this.carrier = checkNotNull(carrier, "carrier is null");
    }

    /** Decides an element. All changes with a time up to this one that are not late are known. */
    abstract void decide(RoutedRequest request, long time) throws Exception;

    /** Called before the current key's elements of this time are decided. */
    abstract void onTime(long time) throws Exception;

    /** Called when all elements up to this time have been decided. */
    abstract void onReleased(long watermark) throws Exception;

    @Override
    public void open() throws Exception {
        super.open();
        // The name and namespace that Flink's own operators use, which wrote the savepoints of earlier versions.
        timers = getInternalTimerService("user-timers", VoidNamespaceSerializer.INSTANCE, this);
        batch = timeServiceManager instanceof BatchExecutionInternalTimeServiceManager;
        MailboxExecutorFactory mailboxes = getContainingTask().getMailboxExecutorFactory();
        mailbox = mailboxes.createExecutor(getOperatorConfig().getChainIndex());
        everything = mailboxes.createExecutor(TaskMailbox.MIN_PRIORITY);
        gate = new WatermarkGate<>(getRuntimeContext(), carrier);
        lateRecords = llamafuMetrics().counter("lateRecords");
        lateChanges = llamafuMetrics().counter("lateRouteChanges");
        newest = Long.MIN_VALUE;
        released = Long.MIN_VALUE;
        releasing = Long.MIN_VALUE;
    }

    final MetricGroup llamafuMetrics() {
        return getRuntimeContext().getMetricGroup().addGroup("llamafu");
    }

    final boolean isBatch() {
        return batch;
    }

    /** All elements up to this time have been decided. */
    final long released() {
        return released;
    }

    private boolean isReleasing() {
        return releasing > released;
    }

    final InternalTimerService<VoidNamespace> timers() {
        return timers;
    }

    /** Schedules {@link #onTime} for the current key. */
    final void callOnTime(long time) {
        timers.registerEventTimeTimer(VoidNamespace.INSTANCE, time);
    }

    final boolean hasWaitingElements() throws Exception {
        return !gate.isEmpty();
    }

    /** Counts a change that arrives after its time. */
    final void countIfLate(long validFrom) {
        if (validFrom <= releasing) {
            lateChanges.inc();
        }
    }

    /** Whether nothing of this time is pending, so it needs no timer. */
    final boolean hasPassed(long time) {
        return time <= releasing && !isReleasing();
    }

    @Override
    public final void processElement1(StreamRecord<E> element) throws Exception {
        RoutedRequest request = carrier.request(element.getValue());
        Long time = EventTimes.of(element);
        if (request.getErrorCode() == null && !request.getPinned()) {
            if (time == null) {
                RequestFunction.reject(
                        request,
                        new LlamafuException(
                                ErrorCode.INVALID_REQUEST,
                                "The record has no timestamp, but is routed by event time: assign one with a"
                                        + " WatermarkStrategy, or route by processing time."));
            } else if (!admit(element.getValue(), time)) {
                return;
            }
        }
        output.collect(element);
    }

    /** Whether the element is decided at once. */
    private boolean admit(E element, long time) throws Exception {
        if (batch) {
            decide(carrier.request(element), time);
            return true;
        }
        if (time <= releasing) {
            lateRecords.inc();
        }
        if (hasPassed(time)) {
            decide(carrier.request(element), time);
            return true;
        }
        gate.hold(time, element);
        callOnTime(time);
        return false;
    }

    @Override
    public final void onEventTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
        long time = timer.getTimestamp();
        onTime(time);
        boolean all = gate.release(
                time,
                element -> {
                    decide(carrier.request(element), time);
                    output.collect(new StreamRecord<>(element, time));
                },
                mailbox::shouldInterrupt);
        if (!all) {
            callOnTime(time);
        }
    }

    @Override
    public final void processWatermark(Watermark mark) throws Exception {
        newest = Math.max(newest, mark.getTimestamp());
        if (!isReleasing()) {
            release();
        }
    }

    /** One watermark after the other, so each is forwarded eventually, however many elements arrive meanwhile. */
    private void release() throws Exception {
        while (releasing < newest || isReleasing()) {
            if (!isReleasing()) {
                releasing = newest;
            }
            if (!timeServiceManager.tryAdvanceWatermark(new Watermark(releasing), mailbox::shouldInterrupt)) {
                scheduleContinuation();
                return;
            }
            released = releasing;
            onReleased(released);
            output.emitWatermark(new Watermark(released));
        }
        if (heldStatus != null) {
            output.emitWatermarkStatus(heldStatus);
            heldStatus = null;
        }
    }

    private void scheduleContinuation() {
        if (!continuationScheduled) {
            continuationScheduled = true;
            mailbox.execute(
                    () -> {
                        continuationScheduled = false;
                        release();
                    },
                    "Llamafu: let more records go");
        }
    }

    /** An idle input is no longer waited for, so this status must not overtake an element either. */
    @Override
    protected final void processWatermarkStatus(WatermarkStatus status, int index) throws Exception {
        boolean wasIdle = combinedWatermark.isIdle();
        boolean rises = combinedWatermark.updateStatus(index, status.isIdle());
        boolean isIdle = combinedWatermark.isIdle();
        if (wasIdle && !isIdle) {
            // Before the watermarks that follow, because an idle output drops them.
            heldStatus = null;
            output.emitWatermarkStatus(status);
        }
        if (rises) {
            processWatermark(new Watermark(combinedWatermark.getCombinedWatermark()));
        }
        if (!wasIdle && isIdle) {
            if (isReleasing()) {
                heldStatus = status;
            } else {
                output.emitWatermarkStatus(status);
            }
        }
    }

    /**
     * At the end of the input all elements must be emitted; other work of the task, checkpoints included, goes on in
     * between.
     */
    @Override
    public void finish() throws Exception {
        while (isReleasing()) {
            release();
            while (isReleasing() && everything.tryYield()) {
                // until there is no other work
            }
        }
        super.finish();
    }
}
