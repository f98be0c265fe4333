package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Gives each record the newest route that its key has seen. */
@Internal
public final class ProcessingTimeRouter
        extends KeyedCoProcessFunction<String, RoutedRequest, AdapterRoute, RoutedRequest> {
    private static final long serialVersionUID = 1L;

    private final RouteChanges changes;
    private transient ValueState<RouteVersion> route;

    public ProcessingTimeRouter(RouteChanges changes) {
        this.changes = checkNotNull(changes, "changes is null");
    }

    @Override
    public void open(OpenContext context) {
        changes.open(getRuntimeContext().getMetricGroup().addGroup("llamafu"));
        route = getRuntimeContext()
                .getState(new ValueStateDescriptor<>("route", new AvroTypeInfo<>(RouteVersion.class)));
    }

    @Override
    public void processElement1(RoutedRequest request, Context context, Collector<RoutedRequest> out) throws Exception {
        if (request.getErrorCode() == null) {
            RouteVersion version = route.value();
            if (version != null) {
                request.setStack(version.getStack());
            }
        }
        out.collect(request);
    }

    @Override
    public void processElement2(AdapterRoute change, Context context, Collector<RoutedRequest> out) throws Exception {
        Optional<RouteVersion> version =
                changes.accept(change, context.timerService().currentProcessingTime());
        if (version.isEmpty()) {
            return;
        }
        if (version.get().getStack() == null) {
            route.clear();
        } else {
            route.update(version.get());
        }
    }
}
