package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Gives a record of time t the newest route of its key with a time of t or earlier, once the watermark has passed t.
 *
 * <p>Each record and each route change sets a timer at its own time. Timers of a key fire in the order of time, so when
 * the timer of a time fires all older records are decided, and the versions before the one that holds then go.
 */
@Internal
public final class EventTimeRouter<E> extends KeyedCoProcessFunction<String, E, AdapterRoute, E> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final Carrier<?, E, ?> carrier;
    private final StateTtlConfig ttl;
    private transient ValueState<RouteHistory> history;
    private transient WatermarkGate<E> gate;
    private transient Counter lateRouteChanges;

    public EventTimeRouter(RouteChanges changes, Carrier<?, E, ?> carrier, StateTtlConfig ttl) {
        this.changes = checkNotNull(changes, "changes is null");
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.ttl = checkNotNull(ttl, "ttl is null");
    }

    @Override
    public void open(OpenContext context) {
        MetricGroup metrics = getRuntimeContext().getMetricGroup().addGroup("llamafu");
        changes.open(metrics);
        lateRouteChanges = metrics.counter("lateRouteChanges");
        history = getRuntimeContext().getState(RouteState.descriptor("route-history", RouteHistory.class, ttl));
        gate = new WatermarkGate<>(getRuntimeContext(), metrics, carrier);
    }

    @Override
    public void processElement1(E element, Context context, Collector<E> out) throws Exception {
        switch (gate.admit(element, context.timestamp(), context.timerService())) {
            case PASSES -> out.collect(element);
            case LATE -> {
                route(element, timeline(), context.timestamp());
                out.collect(element);
            }
            case WAITS -> {}
        }
    }

    @Override
    public void processElement2(AdapterRoute change, Context context, Collector<E> out) throws Exception {
        Long validFrom = change.getValidFrom() == null ? context.timestamp() : change.getValidFrom();
        Optional<RouteVersion> version =
                changes.accept(change, validFrom, rejected -> context.output(RouteChanges.rejectedTag(), rejected));
        if (version.isEmpty()) {
            return;
        }
        Timeline<RouteVersion> timeline = timeline();
        timeline.add(version.get());
        long watermark = context.timerService().currentWatermark();
        if (version.get().getValidFrom() <= watermark) {
            lateRouteChanges.inc();
            timeline.trim(watermark);
        } else {
            context.timerService().registerEventTimeTimer(version.get().getValidFrom());
        }
        keep(timeline);
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<E> out) throws Exception {
        Timeline<RouteVersion> timeline = timeline();
        for (E element : gate.release(time)) {
            route(element, timeline, time);
            out.collect(element);
        }
        if (timeline.trim(time)) {
            keep(timeline);
        }
    }

    private void route(E element, Timeline<RouteVersion> timeline, long time) {
        timeline.at(time).ifPresent(version -> RouteState.apply(version, carrier.request(element)));
    }

    private Timeline<RouteVersion> timeline() throws Exception {
        return Timeline.of(history.value());
    }

    private void keep(Timeline<RouteVersion> timeline) throws Exception {
        history.update(new RouteHistory(timeline.versions(), timeline.trimmed()));
    }
}
