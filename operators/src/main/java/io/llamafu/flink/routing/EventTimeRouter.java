package io.llamafu.flink.routing;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.StateSnapshotContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import javax.annotation.Nullable;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Gives a record of time t the newest route of its key with a time of t or earlier, once the watermark has passed t.
 *
 * <p>Each record and each route change sets a timer at its time. Timers of a key fire in time order, so a single
 * current route is enough for the waiting records: a change replaces it when its timer fires.
 */
@Internal
public final class EventTimeRouter<E> extends EventTimeOperator<E, AdapterRoute> {
    private static final long serialVersionUID = 1L;

    private final AdapterPrefetch prefetch;

    @Nullable
    private final Duration ttl;

    /** The route at the time that timers have reached. */
    private transient ValueState<RouteHistory> history;
    /** The changes after that time. */
    private transient MapState<Long, RouteVersion> coming;

    private transient IdleRoutes idle;

    /** In batch execution, the most recent key, with all its changes. */
    private transient Object batchKey;

    private transient NavigableMap<Long, RouteVersion> batchRoutes;

    /** @param ttl how long a key keeps its route without a record or change; null is forever */
    public EventTimeRouter(AdapterPrefetch prefetch, Carrier<?, E, ?> carrier, @Nullable Duration ttl) {
        super(carrier);
        this.prefetch = checkNotNull(prefetch, "prefetch is null");
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
        ValueStateDescriptor<RouteHistory> descriptor = RouteState.descriptor("route-history", RouteHistory.class);
        history = getRuntimeContext().getState(descriptor);
        coming = getRuntimeContext()
                .getMapState(new MapStateDescriptor<>(
                        "coming-routes", Types.LONG, new RecordTypeInfo<>(RouteVersion.class)));
        batchRoutes = new TreeMap<>();
        idle.open(getRuntimeContext(), timers(), getKeyedStateBackend(), descriptor);
    }

    @Override
    public void processElement2(StreamRecord<AdapterRoute> element) throws Exception {
        AdapterRoute change = element.getValue();
        long validFrom = change.getValidFrom();
        RouteVersion version = new RouteVersion(validFrom, change.getStack(), change.getVariants());
        prefetch.prefetch(version.getStack(), version.getVariants());
        if (isBatch()) {
            batchRoutes().put(validFrom, version);
            return;
        }
        countIfLate(validFrom);
        if (hasPassed(validFrom)) {
            settle(version, released());
        } else {
            coming.put(validFrom, version);
            callOnTime(validFrom);
        }
    }

    @Override
    void decide(RoutedRequest request, long time) throws Exception {
        if (isBatch()) {
            Map.Entry<Long, RouteVersion> holds = batchRoutes().floorEntry(time);
            if (holds != null) {
                RouteState.apply(holds.getValue(), request);
            }
            return;
        }
        RouteHistory held = held(Math.max(time, released()));
        if (held == null) {
            return;
        }
        idle.used();
        RouteVersion version = held.getVersions().get(0);
        // The version before it is gone, so it is the nearest one known.
        if (version.getValidFrom() <= time || held.getTrimmed()) {
            RouteState.apply(version, request);
        }
    }

    @Override
    void onTime(long time) throws Exception {
        RouteHistory held = held(time);
        RouteVersion version = coming.get(time);
        if (version != null) {
            coming.remove(time);
            settle(version, time);
        } else if (held != null && isForgotten(held.getVersions().get(0), time)) {
            history.clear();
        }
    }

    @Override
    void onReleased(long watermark) {}

    @Override
    public void onProcessingTime(InternalTimer<String, VoidNamespace> timer) throws Exception {
        RouteHistory unused = held(released()); // moves future versions out of the history of an earlier savepoint
        if (idle.isIdle(hasWaitingElements() || !coming.isEmpty())) {
            history.clear();
        }
    }

    /**
     * Puts a version into force, unless a newer one already is.
     *
     * <p>A removal is a version too, so that a late change with an older time does not replace it. It is dropped after
     * a while.
     */
    private void settle(RouteVersion version, long now) throws Exception {
        RouteHistory held = held(now);
        RouteVersion before = held == null ? null : held.getVersions().get(0);
        boolean isNewest = before == null || version.getValidFrom() >= before.getValidFrom();
        RouteVersion holds = isNewest ? version : before;
        boolean trimmed = before != null && (held.getTrimmed() || before.getValidFrom() != version.getValidFrom());
        history.update(new RouteHistory(List.of(holds), trimmed, true));
        idle.used();
        if (isNewest && RouteState.isRemoval(version)) {
            callOnTime(RouteState.forgottenFrom(version.getValidFrom()));
        }
    }

    private static boolean isForgotten(RouteVersion version, long time) {
        return RouteState.isRemoval(version) && RouteState.forgottenFrom(version.getValidFrom()) <= time;
    }

    /**
     * The current route. Earlier versions of Llamafu stored all versions of a key as one list.
     *
     * @param now versions of this time or earlier are in force or dropped
     */
    @Nullable
    private RouteHistory held(long now) throws Exception {
        RouteHistory held = history.value();
        if (held == null || held.getSettled()) {
            return held;
        }
        RouteHistory settled = null;
        for (RouteVersion version : held.getVersions()) {
            boolean isOldestKnown = settled == null && held.getTrimmed();
            if (version.getValidFrom() <= now || isOldestKnown) {
                settled = new RouteHistory(List.of(version), settled != null || held.getTrimmed(), true);
            } else {
                coming.put(version.getValidFrom(), version);
                callOnTime(version.getValidFrom());
            }
        }
        if (settled == null) {
            history.clear();
        } else {
            history.update(settled);
            RouteVersion holds = settled.getVersions().get(0);
            if (RouteState.isRemoval(holds)) {
                callOnTime(RouteState.forgottenFrom(holds.getValidFrom()));
            }
        }
        return settled;
    }

    private NavigableMap<Long, RouteVersion> batchRoutes() {
        if (!getCurrentKey().equals(batchKey)) {
            batchKey = getCurrentKey();
            batchRoutes.clear();
        }
        return batchRoutes;
    }
}
