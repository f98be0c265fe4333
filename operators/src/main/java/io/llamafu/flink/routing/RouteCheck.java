package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.RejectedRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import java.util.function.Consumer;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Forwards only valid route changes to the router, each with its time. It runs in the task that emits them, before
 * anything is serialized: a key that cannot be written would arrive at another subtask than the one it was sent to. It
 * also keeps the router from waiting for a store that is asked for names.
 */
@Internal
public final class RouteCheck extends AbstractStreamOperator<AdapterRoute>
        implements OneInputStreamOperator<AdapterRoute, AdapterRoute> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final boolean eventTime;

    public RouteCheck(RouteChanges changes, boolean eventTime) {
        this.changes = checkNotNull(changes, "changes is null");
        this.eventTime = eventTime;
    }

    @Override
    public void open() throws Exception {
        super.open();
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
    }

    @Override
    public void processElement(StreamRecord<AdapterRoute> element) {
        AdapterRoute change = element.getValue();
        Consumer<RejectedRoute> rejected =
                reason -> output.collect(RouteChanges.rejectedTag(), Rejections.at(element, reason));
        if (eventTime) {
            Long validFrom = change.getValidFrom() == null ? EventTimes.of(element) : change.getValidFrom();
            // Without a timestamp, because batch execution sorts by it and must deliver the changes of a key before its
            // records.
            changes.accept(change, validFrom, rejected).ifPresent(valid -> output.collect(new StreamRecord<>(valid)));
        } else {
            changes.accept(change, RuleBook.ALWAYS, rejected).ifPresent(valid -> output.collect(element.copy(valid)));
        }
    }

    @Override
    public void close() throws Exception {
        changes.close();
        super.close();
    }
}
