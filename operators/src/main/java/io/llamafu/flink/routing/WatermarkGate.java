package io.llamafu.flink.routing;

import io.llamafu.flink.records.RecordsInFlight;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.util.function.ThrowingConsumer;

import java.util.function.BooleanSupplier;

/**
 * The elements of a key that wait for the watermark, in keyed state. Each element is a separate entry, so many elements
 * of one time cost the same as elements of different times, and they need not fit in memory. They never expire, because
 * none may be lost.
 */
final class WatermarkGate<E> {
    /** The number of elements received for a time. */
    private final MapState<Long, Integer> counts;
    /** The first element of a time still waiting, if the time was released in part. */
    private final MapState<Long, Integer> firsts;
    /** By time and the order of arrival within it. */
    private final MapState<Tuple2<Long, Integer>, E> elements;

    WatermarkGate(RuntimeContext context, Carrier<?, E, ?> carrier) {
        counts = context.getMapState(new MapStateDescriptor<>("buffered-counts", Types.LONG, Types.INT));
        firsts = context.getMapState(new MapStateDescriptor<>("buffered-firsts", Types.LONG, Types.INT));
        MapStateDescriptor<Tuple2<Long, Integer>, E> descriptor = new MapStateDescriptor<>(
                "buffered-requests", Types.TUPLE(Types.LONG, Types.INT), carrier.elementType());
        elements = RecordsInFlight.open(() -> context.getMapState(descriptor));
    }

    void hold(long time, E element) throws Exception {
        int index = orZero(counts.get(time));
        elements.put(Tuple2.of(time, index), element);
        counts.put(time, index + 1);
    }

    boolean isEmpty() throws Exception {
        return counts.isEmpty();
    }

    /**
     * Releases the elements of a time in the order of arrival: at least one, then more until there is a reason to
     * pause.
     *
     * @return whether all have been released
     */
    boolean release(long time, ThrowingConsumer<E, Exception> out, BooleanSupplier pause) throws Exception {
        int end = orZero(counts.get(time));
        if (end == 0) {
            return true;
        }
        int index = orZero(firsts.get(time));
        boolean started = index > 0;
        do {
            Tuple2<Long, Integer> position = Tuple2.of(time, index);
            E element = elements.get(position);
            elements.remove(position);
            index++;
            out.accept(element);
        } while (index < end && !pause.getAsBoolean());
        if (index < end) {
            firsts.put(time, index);
            return false;
        }
        counts.remove(time);
        if (started) {
            firsts.remove(time);
        }
        return true;
    }

    private static int orZero(Integer count) {
        return count == null ? 0 : count;
    }
}
