package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Gives a record of time t the stack of the rule that applies to its key at t, once the watermark has passed t. A
 * router after it may override that.
 *
 * <p>All subtasks get the same rules, but each drops old versions as its own records are decided. When the parallelism
 * changes, Flink gives a subtask the rules of any other one. Each subtask therefore also writes the rules with several
 * versions to a state that all read, because others may have dropped those versions.
 */
@Internal
public final class EventTimeRules<E> extends EventTimeOperator<E, RouteRule> {
    private static final long serialVersionUID = 1L;

    private final AdapterPrefetch prefetch;
    private transient BroadcastState<String, RuleHistory> rules;
    private transient ListState<Tuple2<String, RuleHistory>> unsettled;
    private transient RuleBook book;
    private transient long watermarkOfRules;

    public EventTimeRules(AdapterPrefetch prefetch, Carrier<?, E, ?> carrier) {
        super(carrier);
        this.prefetch = checkNotNull(prefetch, "prefetch is null");
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        rules = context.getOperatorStateStore().getBroadcastState(RuleBook.descriptor());
        unsettled = context.getOperatorStateStore()
                .getUnionListState(new ListStateDescriptor<>(
                        "unsettled-rules", Types.TUPLE(Types.STRING, new RecordTypeInfo<>(RuleHistory.class))));
        for (Tuple2<String, RuleHistory> other : unsettled.get()) {
            // Of the same rule, the history that dropped less contains the other.
            RuleHistory own = rules.get(other.f0);
            if (own == null || own.getVersions().size() < other.f1.getVersions().size()) {
                rules.put(other.f0, other.f1);
            }
        }
        book = RuleBook.read(rules);
        watermarkOfRules = Long.MIN_VALUE;
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        List<Tuple2<String, RuleHistory>> histories = new ArrayList<>();
        for (Map.Entry<String, RuleHistory> rule : book.unsettled()) {
            histories.add(Tuple2.of(rule.getKey(), rule.getValue()));
        }
        unsettled.update(histories);
    }

    @Override
    public void processElement2(StreamRecord<RouteRule> element) throws Exception {
        RouteRule rule = element.getValue();
        countIfLate(rule.getValidFrom());
        book.keep(rule, element.getTimestamp(), rules);
        book.trim(released(), watermarkOfRules, rules);
        prefetch.prefetch(rule.getStack(), rule.getVariants());
    }

    @Override
    public void processWatermark2(Watermark mark) throws Exception {
        watermarkOfRules = mark.getTimestamp();
        super.processWatermark2(mark);
    }

    @Override
    void decide(RoutedRequest request, long time) {
        book.apply(request, time);
    }

    @Override
    void onTime(long time) {}

    @Override
    void onReleased(long watermark) throws Exception {
        book.trim(watermark, watermarkOfRules, rules);
    }

    @Override
    public void onProcessingTime(InternalTimer<String, VoidNamespace> timer) {
        throw new IllegalStateException("Rules set no timers in processing time.");
    }
}
