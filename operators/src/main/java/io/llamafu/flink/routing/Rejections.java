package io.llamafu.flink.routing;

import io.llamafu.flink.RejectedRoute;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/** Collects rejections with the timestamp of the rejected change. */
final class Rejections {
    private Rejections() {}

    static StreamRecord<RejectedRoute> at(StreamRecord<?> element, RejectedRoute reason) {
        return element.hasTimestamp() ? new StreamRecord<>(reason, element.getTimestamp()) : new StreamRecord<>(reason);
    }
}
