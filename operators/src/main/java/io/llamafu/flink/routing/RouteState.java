package io.llamafu.flink.routing;

import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueStateDescriptor;

import java.time.Duration;

/** The routes of a key in keyed state. */
@Internal
public final class RouteState {
    private RouteState() {}

    /** Forgets the route of a key that has had neither a record nor a change for that long. */
    public static StateTtlConfig forgottenAfter(Duration idle) {
        return StateTtlConfig.newBuilder(idle)
                .updateTtlOnReadAndWrite()
                .neverReturnExpired()
                .build();
    }

    static <V extends SpecificRecordBase> ValueStateDescriptor<V> descriptor(
            String name, Class<V> type, StateTtlConfig ttl) {
        ValueStateDescriptor<V> descriptor = new ValueStateDescriptor<>(name, new RecordTypeInfo<>(type));
        if (ttl.isEnabled()) {
            descriptor.enableTimeToLive(ttl);
        }
        return descriptor;
    }

    static boolean isRemoval(RouteVersion version) {
        return version.getStack() == null && version.getVariants() == null;
    }

    /** Gives a request the stack of a route, unless that was taken away. */
    static void apply(RouteVersion version, RoutedRequest request) {
        String stack = Variants.choose(version.getStack(), version.getVariants(), request);
        if (stack != null) {
            request.setStack(stack);
        }
    }
}
