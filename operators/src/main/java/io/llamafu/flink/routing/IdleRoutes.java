package io.llamafu.flink.routing;

import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.sorted.state.BatchExecutionInternalTimeService;

import javax.annotation.Nullable;
import java.time.Duration;
import java.util.List;

/**
 * Finds the keys whose routes have not been used for a while. A key that has a route has a timer.
 *
 * <p>Not Flink's own time-to-live: that would count the time while a job is down, so that an outage forgets all routes,
 * and could not know of records that wait for the watermark.
 */
final class IdleRoutes {
    /** 0 if routes stay forever. */
    private long ttlMillis;

    private final boolean restored;
    /** Not empty if all keys with routes have timers: they have not if routes stayed forever before. */
    private final ListState<Boolean> complete;

    private final boolean wasComplete;

    private InternalTimerService<VoidNamespace> timers;
    private ValueState<Long> used;
    /** The time before that does not count. */
    private long opened;

    /** In {@code initializeState} of an operator. */
    IdleRoutes(@Nullable Duration ttl, StateInitializationContext context) throws Exception {
        ttlMillis = ttl == null ? 0 : ttl.toMillis();
        restored = context.isRestored();
        complete = context.getOperatorStateStore()
                .getUnionListState(new ListStateDescriptor<>("route-timers-complete", Types.BOOLEAN));
        wasComplete = complete.get().iterator().hasNext();
    }

    /**
     * In {@code open} of an operator.
     *
     * @param routes what each key with a route has
     */
    void open(
            RuntimeContext context,
            InternalTimerService<VoidNamespace> newTimers,
            KeyedStateBackend<String> backend,
            ValueStateDescriptor<?> routes)
            throws Exception {
        if (newTimers instanceof BatchExecutionInternalTimeService) {
            // A key is done before it can be idle.
            ttlMillis = 0;
        }
        timers = newTimers;
        used = context.getState(new ValueStateDescriptor<>("route-used", Types.LONG));
        opened = timers.currentProcessingTime();
        if (ttlMillis > 0 && restored && !wasComplete) {
            backend.applyToAllKeys(
                    VoidNamespace.INSTANCE, VoidNamespaceSerializer.INSTANCE, routes, (key, route) -> used());
        }
    }

    /** In {@code snapshotState} of an operator. */
    void snapshot() throws Exception {
        complete.update(ttlMillis > 0 ? List.of(true) : List.of());
    }

    /** The route of the current key was read or written. */
    void used() throws Exception {
        if (ttlMillis == 0) {
            return;
        }
        long now = timers.currentProcessingTime();
        if (used.value() == null) {
            callAt(now + ttlMillis);
        }
        used.update(now);
    }

    /**
     * In {@code onProcessingTime} of an operator.
     *
     * @param needed whether something waits for the route
     * @return whether the current key's route is to be forgotten
     */
    boolean isIdle(boolean needed) throws Exception {
        Long lastUse = used.value();
        if (lastUse == null || ttlMillis == 0) {
            used.clear();
            return false;
        }
        long now = timers.currentProcessingTime();
        long idleSince = needed ? now : Math.max(lastUse, opened);
        if (now - idleSince >= ttlMillis) {
            used.clear();
            return true;
        }
        callAt(idleSince + ttlMillis);
        return false;
    }

    private void callAt(long time) {
        timers.registerProcessingTimeTimer(VoidNamespace.INSTANCE, time);
    }
}
