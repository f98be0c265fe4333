package io.llamafu.flink.routing;

import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.api.common.state.ValueStateDescriptor;

import java.time.Duration;

/** The routes of a key in keyed state. */
final class RouteState {
    /** How long a removal is remembered in event time, so that late changes do not undo it. */
    static final Duration REMOVAL_REMEMBERED = Duration.ofHours(1);

    private RouteState() {}

    static <V extends SpecificRecordBase> ValueStateDescriptor<V> descriptor(String name, Class<V> type) {
        return new ValueStateDescriptor<>(name, new RecordTypeInfo<>(type));
    }

    static boolean isRemoval(RouteVersion version) {
        return version.getStack() == null && version.getVariants() == null;
    }

    /** The time at which a removal is dropped from the state. */
    static long forgottenFrom(long removal) {
        long remembered = REMOVAL_REMEMBERED.toMillis();
        return removal > Long.MAX_VALUE - remembered ? Long.MAX_VALUE : removal + remembered;
    }

    /** Gives a request the stack of a route, unless the route was removed. */
    static void apply(RouteVersion version, RoutedRequest request) {
        String stack = Variants.choose(version.getStack(), version.getVariants(), request);
        if (stack != null) {
            request.setStack(stack);
        }
    }
}
