package io.llamafu.flink.routing;

import io.llamafu.Durations;
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
 * Finds the keys whose routes have not been used for a while. Every key with a route has a timer.
 *
 * <p>Flink's own time-to-live would count the time while a job is down, so an outage would drop all routes, and it does
 * not know about records that wait for the watermark.
 */
final class IdleRoutes {
    /** 0 if routes never expire. */
    private long ttlMillis;

    private final boolean restored;
    /** Not empty if all keys with routes have timers; they have none if routes did not expire before. */
    private final ListState<Boolean> complete;

    private final boolean wasComplete;

    private InternalTimerService<VoidNamespace> timers;
    private ValueState<Long> used;
    /** Idle time before this does not count. */
    private long opened;

    /** To be called in {@code initializeState} of an operator. */
    IdleRoutes(@Nullable Duration ttl, StateInitializationContext context) throws Exception {
        ttlMillis = ttl == null ? 0 : Durations.countable(ttl).toMillis();
        restored = context.isRestored();
        complete = context.getOperatorStateStore()
                .getUnionListState(new ListStateDescriptor<>("route-timers-complete", Types.BOOLEAN));
        wasComplete = complete.get().iterator().hasNext();
    }

    /**
     * To be called in {@code open} of an operator.
     *
     * @param routes the state of each key with a route
     */
    void open(
            RuntimeContext context,
            InternalTimerService<VoidNamespace> newTimers,
            KeyedStateBackend<String> backend,
            ValueStateDescriptor<?> routes)
            throws Exception {
        if (newTimers instanceof BatchExecutionInternalTimeService) {
            // In batch execution, a key is finished before it could become idle.
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

    /** To be called in {@code snapshotState} of an operator. */
    void snapshot() throws Exception {
        complete.update(ttlMillis > 0 ? List.of(true) : List.of());
    }

    /** Marks the current key's route as used. */
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
     * To be called in {@code onProcessingTime} of an operator.
     *
     * @param needed whether an element waits for the route
     * @return whether the current key's route has expired
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
