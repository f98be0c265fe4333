package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Forwards only rules whose texts can be serialized. It runs in the task that emits them, because the {@link ChangeCheck}
 * is another task, where such rules would arrive changed.
 */
@Internal
public final class RuleTexts extends ProcessFunction<RouteRule, RouteRule> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;

    public RuleTexts(RouteChanges changes) {
        this.changes = checkNotNull(changes, "changes is null");
    }

    @Override
    public void open(OpenContext context) {
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
    }

    @Override
    public void processElement(RouteRule rule, Context context, Collector<RouteRule> out) {
        changes.acceptTexts(rule, rejected -> context.output(RouteChanges.rejectedTag(), rejected))
                .ifPresent(out::collect);
    }

    @Override
    public void close() {
        changes.close();
    }
}
