package io.llamafu.flink.routing;

import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.api.common.state.ValueStateDescriptor;

import java.time.Duration;

/** The routes of a key in keyed state. */
final class RouteState {
    /** How long it is remembered, in event time, that a route or rule was taken away: late changes may come so late. */
    static final Duration REMOVAL_REMEMBERED = Duration.ofHours(1);

    private RouteState() {}

    static <V extends SpecificRecordBase> ValueStateDescriptor<V> descriptor(String name, Class<V> type) {
        return new ValueStateDescriptor<>(name, new RecordTypeInfo<>(type));
    }

    static boolean isRemoval(RouteVersion version) {
        return version.getStack() == null && version.getVariants() == null;
    }

    /** When a removal of a time leaves the state. */
    static long forgottenFrom(long removal) {
        long remembered = REMOVAL_REMEMBERED.toMillis();
        return removal > Long.MAX_VALUE - remembered ? Long.MAX_VALUE : removal + remembered;
    }

    /** Gives a request the stack of a route, unless that was taken away. */
    static void apply(RouteVersion version, RoutedRequest request) {
        String stack = Variants.choose(version.getStack(), version.getVariants(), request);
        if (stack != null) {
            request.setStack(stack);
        }
    }
}
