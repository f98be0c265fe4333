package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.functions.co.KeyedBroadcastProcessFunction;
import org.apache.flink.util.Collector;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Gives a record of time t the stack of the rule that holds for its key at t, once the watermark has passed t. A router
 * after it overrides that.
 */
@Internal
public final class EventTimeRules<E> extends KeyedBroadcastProcessFunction<String, E, RouteRule, E> {
    private static final long serialVersionUID = 1L;

    private final Carrier<?, E, ?> carrier;
    private final AdapterPrefetch prefetch;
    private final MapStateDescriptor<String, RuleHistory> rules = RuleBook.descriptor();
    private transient WatermarkGate<E> gate;
    private transient Counter lateRules;
    /** Null until it is read from the state, which changes with each rule. */
    private transient RuleBook book;

    public EventTimeRules(Carrier<?, E, ?> carrier, AdapterPrefetch prefetch) {
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.prefetch = checkNotNull(prefetch, "prefetch is null");
    }

    @Override
    public void open(OpenContext context) {
        MetricGroup metrics = getRuntimeContext().getMetricGroup().addGroup("llamafu");
        gate = new WatermarkGate<>(getRuntimeContext(), metrics, carrier);
        lateRules = metrics.counter("lateRouteChanges");
    }

    @Override
    public void processElement(E element, ReadOnlyContext context, Collector<E> out) throws Exception {
        switch (gate.admit(element, context.timestamp(), context.timerService())) {
            case PASSES -> out.collect(element);
            case LATE -> {
                book(context).apply(carrier.request(element), context.timestamp());
                out.collect(element);
            }
            case WAITS -> {}
        }
    }

    @Override
    public void processBroadcastElement(RouteRule rule, Context context, Collector<E> out) throws Exception {
        if (rule.getValidFrom() <= context.currentWatermark()) {
            lateRules.inc();
        }
        RuleBook.keep(rule, context.currentWatermark(), context.getBroadcastState(rules));
        book = null;
        prefetch.prefetch(rule.getStack(), rule.getVariants());
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<E> out) throws Exception {
        RuleBook current = book(context);
        for (E element : gate.release(time)) {
            current.apply(carrier.request(element), time);
            out.collect(element);
        }
    }

    private RuleBook book(ReadOnlyContext context) throws Exception {
        if (book == null) {
            book = RuleBook.read(context.getBroadcastState(rules));
        }
        return book;
    }
}
