package io.llamafu.flink.routing;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.annotation.Internal;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.List;

/**
 * Told of the stacks that new routes and rules lead to, in the TaskManager that keeps them: the records that they are for
 * are probably answered there.
 */
@Internal
@FunctionalInterface
public interface AdapterPrefetch extends Serializable {
    AdapterPrefetch NONE = stack -> {};

    /** Neither waits nor throws. */
    void prefetch(AdapterStack stack);

    /** The stack of a route or rule, or those of its variants; both are null if it was taken away. */
    default void prefetch(@Nullable String stack, @Nullable List<RouteVariant> variants) {
        if (stack != null) {
            prefetch(AdapterStack.parse(stack));
        }
        if (variants != null) {
            variants.forEach(variant -> prefetch(AdapterStack.parse(variant.getStack())));
        }
    }
}
