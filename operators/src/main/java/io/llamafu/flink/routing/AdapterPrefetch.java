package io.llamafu.flink.routing;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.annotation.Internal;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.List;

/**
 * Receives the stacks of new routes and rules, in the TaskManager that keeps them, where their records are probably
 * answered.
 */
@Internal
@FunctionalInterface
public interface AdapterPrefetch extends Serializable {
    AdapterPrefetch NONE = stack -> {};

    /** Does not wait or throw. */
    void prefetch(AdapterStack stack);

    /** The stack of a route or rule, or those of its variants; both are null for a removal. */
    default void prefetch(@Nullable String stack, @Nullable List<RouteVariant> variants) {
        if (stack != null) {
            prefetch(AdapterStack.parse(stack));
        }
        if (variants != null) {
            variants.forEach(variant -> prefetch(AdapterStack.parse(variant.getStack())));
        }
    }
}
