package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
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
public final class EventTimeRouter extends KeyedCoProcessFunction<String, RoutedRequest, AdapterRoute, RoutedRequest> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private transient ValueState<RouteHistory> history;
    private transient RequestBuffer buffer;
    private transient Counter lateRecords;
    private transient Counter lateRouteChanges;

    public EventTimeRouter(RouteChanges changes) {
        this.changes = checkNotNull(changes, "changes is null");
    }

    @Override
    public void open(OpenContext context) {
        MetricGroup metrics = getRuntimeContext().getMetricGroup().addGroup("llamafu");
        changes.open(metrics);
        lateRecords = metrics.counter("lateRecords");
        lateRouteChanges = metrics.counter("lateRouteChanges");
        history = getRuntimeContext()
                .getState(new ValueStateDescriptor<>("route-history", new AvroTypeInfo<>(RouteHistory.class)));
        buffer = new RequestBuffer(getRuntimeContext());
    }

    @Override
    public void processElement1(RoutedRequest request, Context context, Collector<RoutedRequest> out) throws Exception {
        Long time = context.timestamp();
        if (request.getErrorCode() != null) {
            out.collect(request);
        } else if (time == null) {
            RequestFunction.reject(
                    request,
                    "The record has no timestamp, but is routed by event time: assign one with a WatermarkStrategy, or"
                            + " route by processing time.");
            out.collect(request);
        } else if (time <= context.timerService().currentWatermark()) {
            lateRecords.inc();
            out.collect(route(request, timeline(), time));
        } else {
            buffer.add(time, request);
            context.timerService().registerEventTimeTimer(time);
        }
    }

    @Override
    public void processElement2(AdapterRoute change, Context context, Collector<RoutedRequest> out) throws Exception {
        Long validFrom = change.getValidFrom() == null ? context.timestamp() : change.getValidFrom();
        Optional<RouteVersion> version = changes.accept(change, validFrom);
        if (version.isEmpty()) {
            return;
        }
        RouteTimeline timeline = timeline();
        timeline.add(version.get());
        long watermark = context.timerService().currentWatermark();
        if (version.get().getValidFrom() <= watermark) {
            lateRouteChanges.inc();
            timeline.trim(watermark);
        } else {
            context.timerService().registerEventTimeTimer(version.get().getValidFrom());
        }
        history.update(timeline.toHistory());
    }

    @Override
    public void onTimer(long time, OnTimerContext context, Collector<RoutedRequest> out) throws Exception {
        RouteTimeline timeline = timeline();
        for (RoutedRequest request : buffer.remove(time)) {
            out.collect(route(request, timeline, time));
        }
        if (timeline.trim(time)) {
            history.update(timeline.toHistory());
        }
    }

    private static RoutedRequest route(RoutedRequest request, RouteTimeline timeline, long time) {
        timeline.at(time).map(RouteVersion::getStack).ifPresent(request::setStack);
        return request;
    }

    private RouteTimeline timeline() throws Exception {
        RouteHistory held = history.value();
        return held == null ? RouteTimeline.empty() : RouteTimeline.of(held);
    }
}
