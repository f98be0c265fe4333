package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

import javax.annotation.Nullable;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Lets only valid rules go on to the broadcast, each with its time. Runs in one subtask: the subtasks that keep the
 * rules must all have the same, whatever the adapter folders of their TaskManagers hold at that moment.
 */
@Internal
public final class RuleCheck extends ProcessFunction<RouteRule, RouteRule> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final boolean eventTime;

    public RuleCheck(RouteChanges changes, boolean eventTime) {
        this.changes = checkNotNull(changes, "changes is null");
        this.eventTime = eventTime;
    }

    @Override
    public void open(OpenContext context) {
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
    }

    @Override
    public void processElement(RouteRule rule, Context context, Collector<RouteRule> out) {
        changes.accept(rule, validFrom(rule, context), rejected -> context.output(RouteChanges.rejectedTag(), rejected))
                .ifPresent(out::collect);
    }

    @Nullable
    private Long validFrom(RouteRule rule, Context context) {
        if (!eventTime) {
            return RuleBook.ALWAYS;
        }
        return rule.getValidFrom() == null ? context.timestamp() : rule.getValidFrom();
    }
}
