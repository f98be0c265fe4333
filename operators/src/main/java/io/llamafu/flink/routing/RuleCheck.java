package io.llamafu.flink.routing;

import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import javax.annotation.Nullable;
import java.util.function.Consumer;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Forwards only valid rules to the broadcast, each with its time. It runs in one subtask, because all subtasks must
 * keep the same rules, whatever the adapter folders of their TaskManagers contain at that moment.
 *
 * <p>The timestamp of the forwarded rules is this operator's watermark, so that all subtasks agree on how late a rule
 * is.
 */
@Internal
public final class RuleCheck extends AbstractStreamOperator<RouteRule>
        implements OneInputStreamOperator<RouteRule, RouteRule> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final boolean eventTime;
    private transient long watermark;

    public RuleCheck(RouteChanges changes, boolean eventTime) {
        this.changes = checkNotNull(changes, "changes is null");
        this.eventTime = eventTime;
    }

    @Override
    public void open() throws Exception {
        super.open();
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
        watermark = Long.MIN_VALUE;
    }

    @Override
    public void processElement(StreamRecord<RouteRule> element) {
        Consumer<RejectedRoute> rejected =
                reason -> output.collect(RouteChanges.rejectedTag(), Rejections.at(element, reason));
        changes.accept(element.getValue(), validFrom(element), rejected)
                .ifPresent(rule -> output.collect(new StreamRecord<>(rule, watermark)));
    }

    @Nullable
    private Long validFrom(StreamRecord<RouteRule> element) {
        if (!eventTime) {
            return RuleBook.ALWAYS;
        }
        Long validFrom = element.getValue().getValidFrom();
        return validFrom == null ? EventTimes.of(element) : validFrom;
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
