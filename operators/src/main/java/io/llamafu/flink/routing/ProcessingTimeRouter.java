package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import javax.annotation.Nullable;
import java.time.Duration;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Gives each record the newest route that its key has seen. */
@Internal
public final class ProcessingTimeRouter<E> extends AbstractStreamOperator<E>
        implements TwoInputStreamOperator<E, AdapterRoute, E>, Triggerable<String, VoidNamespace> {
    private static final long serialVersionUID = 1L;

    private final AdapterPrefetch prefetch;
    private final Carrier<?, E, ?> carrier;

    @Nullable
    private final Duration ttl;

    private transient ValueState<RouteVersion> route;
    private transient IdleRoutes idle;

    /** @param ttl how long a key keeps its route without a record or change; null is forever */
    public ProcessingTimeRouter(AdapterPrefetch prefetch, Carrier<?, E, ?> carrier, @Nullable Duration ttl) {
        this.prefetch = checkNotNull(prefetch, "prefetch is null");
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.ttl = ttl;
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        super.initializeState(context);
        idle = new IdleRoutes(ttl, context);
    }

    @Override
    public void snapshotState(StateSnapshotContext context) throws Exception {
        super.snapshotState(context);
        idle.snapshot();
    }

    @Override
    public void open() throws Exception {
        super.open();
        ValueStateDescriptor<RouteVersion> descriptor = RouteState.descriptor("route", RouteVersion.class);
        route = getRuntimeContext().getState(descriptor);
        InternalTimerService<VoidNamespace> timers =
                getInternalTimerService("user-timers", VoidNamespaceSerializer.INSTANCE, this);
        idle.open(getRuntimeContext(), timers, getKeyedStateBackend(), descriptor);
    }

    @Override
    public void processElement1(StreamRecord<E> element) throws Exception {
        RoutedRequest request = carrier.request(element.getValue());
        if (request.getErrorCode() == null && !request.getPinned()) {
            RouteVersion version = route.value();
            if (version != null) {
                idle.used();
                RouteState.apply(version, request);
            }
        }
        output.collect(element);
    }

    @Override
    public void processElement2(StreamRecord<AdapterRoute> element) throws Exception {
        AdapterRoute change = element.getValue();
        RouteVersion version = new RouteVersion(
                getProcessingTimeService().getCurrentProcessingTime(), change.getStack(), change.getVariants());
        if (RouteState.isRemoval(version)) {
            route.clear();
        } else {
            prefetch.prefetch(version.getStack(), version.getVariants());
            route.update(version);
            idle.used();
        }
    }

    @Override
    public void onProcessingTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
        if (idle.isIdle(false)) {
            route.clear();
        }
    }

    @Override
    public void onEventTime(InternalTimer<String, VoidNamespace> timer) {
        throw new IllegalStateException("A router in processing time sets no timers in event time.");
    }
}
