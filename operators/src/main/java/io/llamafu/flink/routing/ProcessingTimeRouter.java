package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Gives each record the newest route that its key has seen. */
@Internal
public final class ProcessingTimeRouter<E> extends KeyedCoProcessFunction<String, E, AdapterRoute, E> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private final Carrier<?, E, ?> carrier;
    private final StateTtlConfig ttl;
    private transient ValueState<RouteVersion> route;

    public ProcessingTimeRouter(RouteChanges changes, Carrier<?, E, ?> carrier, StateTtlConfig ttl) {
        this.changes = checkNotNull(changes, "changes is null");
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.ttl = checkNotNull(ttl, "ttl is null");
    }

    @Override
    public void open(OpenContext context) {
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
        route = getRuntimeContext().getState(RouteState.descriptor("route", RouteVersion.class, ttl));
    }

    @Override
    public void processElement1(E element, Context context, Collector<E> out) throws Exception {
        RoutedRequest request = carrier.request(element);
        if (request.getErrorCode() == null && !request.getPinned()) {
            RouteVersion version = route.value();
            if (version != null) {
                RouteState.apply(version, request);
            }
        }
        out.collect(element);
    }

    @Override
    public void processElement2(AdapterRoute change, Context context, Collector<E> out) throws Exception {
        Optional<RouteVersion> version = changes.accept(
                change,
                context.timerService().currentProcessingTime(),
                rejected -> context.output(RouteChanges.rejectedTag(), rejected));
        if (version.isEmpty()) {
            return;
        }
        if (RouteState.isRemoval(version.get())) {
            route.clear();
        } else {
            route.update(version.get());
        }
    }
}
