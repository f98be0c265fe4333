package io.llamafu.flink.routing;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import javax.annotation.Nullable;

/** The timestamps of stream elements. */
final class EventTimes {
    private EventTimes() {}

    /** Flink's sources mark a missing timestamp with the smallest value. */
    @Nullable
    static Long of(@Nullable Long timestamp) {
        return timestamp == null || timestamp == Long.MIN_VALUE ? null : timestamp;
    }

    @Nullable
    static Long of(StreamRecord<?> element) {
        return element.hasTimestamp() ? of(element.getTimestamp()) : null;
    }
}
