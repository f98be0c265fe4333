package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.function.SerializableFunction;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.Optional;
import java.util.function.Consumer;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Forwards only valid route changes or rules, each with the time from which it holds.
 *
 * <p>Route changes are checked in the task that emits them, before anything is serialized: a key that cannot be written
 * would arrive at another subtask than the one it was sent to. It also keeps the router from waiting for a store that is
 * asked for names. Rules are checked in one subtask, because all subtasks must keep the same rules, whatever the adapter
 * folders of their TaskManagers contain at that moment.
 *
 * <p>In event time the timestamp of a forwarded change is this operator's watermark, so that all subtasks agree on how
 * late a rule is. In batch execution that is the smallest timestamp, which sorts the changes of a key before its records.
 */
@Internal
public final class ChangeCheck<C> extends AbstractStreamOperator<C> implements OneInputStreamOperator<C, C> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final boolean eventTime;
    private final SerializableFunction<C, Long> validFrom;
    private final Judge<C> judge;
    private transient long watermark;

    /** {@link RouteChanges#accept} for one kind of change. */
    private interface Judge<C> extends Serializable {
        Optional<C> accept(RouteChanges changes, C change, @Nullable Long validFrom, Consumer<RejectedRoute> rejected);
    }

    private ChangeCheck(
            RouteChanges changes, boolean eventTime, SerializableFunction<C, Long> validFrom, Judge<C> judge) {
        this.changes = checkNotNull(changes, "changes is null");
        this.eventTime = eventTime;
        this.validFrom = validFrom;
        this.judge = judge;
    }

    public static ChangeCheck<AdapterRoute> ofRoutes(RouteChanges changes, boolean eventTime) {
        return new ChangeCheck<>(changes, eventTime, AdapterRoute::getValidFrom, RouteChanges::accept);
    }

    public static ChangeCheck<RouteRule> ofRules(RouteChanges changes, boolean eventTime) {
        return new ChangeCheck<>(changes, eventTime, RouteRule::getValidFrom, RouteChanges::accept);
    }

    @Override
    public void open() throws Exception {
        super.open();
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
        watermark = Long.MIN_VALUE;
    }

    @Override
    public void processElement(StreamRecord<C> element) {
        judge.accept(
                        changes,
                        element.getValue(),
                        eventTime ? eventTime(element) : Long.valueOf(RuleBook.ALWAYS),
                        reason -> output.collect(RouteChanges.rejectedTag(), rejection(element, reason)))
                .ifPresent(valid ->
                        output.collect(eventTime ? new StreamRecord<>(valid, watermark) : element.copy(valid)));
    }

    @Nullable
    private Long eventTime(StreamRecord<C> element) {
        Long written = validFrom.apply(element.getValue());
        return written == null ? EventTimes.of(element) : written;
    }

    /** With the timestamp of the rejected change. */
    private static StreamRecord<RejectedRoute> rejection(StreamRecord<?> element, RejectedRoute reason) {
        return element.hasTimestamp() ? new StreamRecord<>(reason, element.getTimestamp()) : new StreamRecord<>(reason);
    }

    @Override
    public void processWatermark(Watermark mark) throws Exception {
        watermark = mark.getTimestamp();
        super.processWatermark(mark);
    }

    @Override
    public void close() throws Exception {
        changes.close();
        super.close();
    }
}
