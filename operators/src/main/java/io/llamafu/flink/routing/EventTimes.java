package io.llamafu.flink.routing;

import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import javax.annotation.Nullable;

/** The timestamps of stream elements. */
final class EventTimes {
    private EventTimes() {}

    /** Flink's sources say that an element has no timestamp by the smallest one. */
    @Nullable
    static Long of(@Nullable Long timestamp) {
        return timestamp == null || timestamp == Long.MIN_VALUE ? null : timestamp;
    }

    @Nullable
    static Long of(StreamRecord<?> element) {
        return element.hasTimestamp() ? of(element.getTimestamp()) : null;
    }
}
