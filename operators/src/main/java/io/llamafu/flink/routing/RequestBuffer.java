package io.llamafu.flink.routing;

import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;

import java.util.ArrayList;
import java.util.List;

/**
 * Keyed state: the requests of one key that wait for the watermark. Each is an entry of its own, so that many of one
 * time cost the same as many of different times.
 */
final class RequestBuffer {
    /** How many requests wait for a time. */
    private final MapState<Long, Integer> counts;
    /** By time and the order of arrival within it. */
    private final MapState<Tuple2<Long, Integer>, RoutedRequest> requests;

    RequestBuffer(RuntimeContext context) {
        counts = context.getMapState(new MapStateDescriptor<>("buffered-counts", Types.LONG, Types.INT));
        requests = context.getMapState(new MapStateDescriptor<>(
                "buffered-requests", Types.TUPLE(Types.LONG, Types.INT), new AvroTypeInfo<>(RoutedRequest.class)));
    }

    void add(long time, RoutedRequest request) throws Exception {
        Integer waiting = counts.get(time);
        int index = waiting == null ? 0 : waiting;
        requests.put(Tuple2.of(time, index), request);
        counts.put(time, index + 1);
    }

    /** Takes out the requests of a time, in the order of their arrival. */
    List<RoutedRequest> remove(long time) throws Exception {
        Integer waiting = counts.get(time);
        if (waiting == null) {
            return List.of();
        }
        List<RoutedRequest> removed = new ArrayList<>(waiting);
        for (int index = 0; index < waiting; index++) {
            Tuple2<Long, Integer> position = Tuple2.of(time, index);
            removed.add(requests.get(position));
            requests.remove(position);
        }
        counts.remove(time);
        return removed;
    }
}
