package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.TimerService;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.List;

/**
 * Holds the elements of a key back, in keyed state, until the watermark has passed their time. Each is an entry of its
 * own, so that many of one time cost the same as many of different times. They never expire: none may be lost.
 */
final class WatermarkGate<E> {

    /** What becomes of an element that comes to the gate. */
    enum Verdict {
        /** It goes on as it is: it has an error, or named its stack itself. */
        PASSES,
        /** It is decided now, with what is still known of its time. */
        LATE,
        /** {@link #release} gives it, when the timer of its time fires. */
        WAITS
    }

    private final Carrier<?, E, ?> carrier;
    /** How many elements wait for a time. */
    private final MapState<Long, Integer> counts;
    /** By time and the order of arrival within it. */
    private final MapState<Tuple2<Long, Integer>, E> elements;

    private final Counter lateRecords;

    WatermarkGate(RuntimeContext context, MetricGroup metrics, Carrier<?, E, ?> carrier) {
        this.carrier = carrier;
        counts = context.getMapState(new MapStateDescriptor<>("buffered-counts", Types.LONG, Types.INT));
        elements = context.getMapState(new MapStateDescriptor<>(
                "buffered-requests", Types.TUPLE(Types.LONG, Types.INT), carrier.elementType()));
        lateRecords = metrics.counter("lateRecords");
    }

    /**
     * Decides about an element.
     *
     * @param time its timestamp; null gives its request an error
     */
    Verdict admit(E element, @Nullable Long time, TimerService timers) throws Exception {
        RoutedRequest request = carrier.request(element);
        if (request.getErrorCode() != null || request.getPinned()) {
            return Verdict.PASSES;
        }
        if (time == null) {
            RequestFunction.reject(
                    request,
                    new LlamafuException(
                            ErrorCode.INVALID_REQUEST,
                            "The record has no timestamp, but is routed by event time: assign one with a"
                                    + " WatermarkStrategy, or route by processing time."));
            return Verdict.PASSES;
        }
        if (time <= timers.currentWatermark()) {
            lateRecords.inc();
            return Verdict.LATE;
        }
        add(time, element);
        timers.registerEventTimeTimer(time);
        return Verdict.WAITS;
    }

    private void add(long time, E element) throws Exception {
        Integer waiting = counts.get(time);
        int index = waiting == null ? 0 : waiting;
        elements.put(Tuple2.of(time, index), element);
        counts.put(time, index + 1);
    }

    /** Takes out the elements of a time, in the order of their arrival. */
    List<E> release(long time) throws Exception {
        Integer waiting = counts.get(time);
        if (waiting == null) {
            return List.of();
        }
        List<E> released = new ArrayList<>(waiting);
        for (int index = 0; index < waiting; index++) {
            Tuple2<Long, Integer> position = Tuple2.of(time, index);
            released.add(elements.get(position));
            elements.remove(position);
        }
        counts.remove(time);
        return released;
    }
}
