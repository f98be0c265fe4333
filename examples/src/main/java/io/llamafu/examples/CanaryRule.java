package io.llamafu.examples;

import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * A value of the topic of rules: which of two stacks answers which share of the keys.
 *
 * @param current the stack in production
 * @param candidate the stack that might replace it
 * @param percent of the keys that the candidate answers: 0 when it is rolled back, 100 when it is promoted
 */
public record CanaryRule(String current, String candidate, int percent) {
    /** A rule replaces the one of the same name. */
    static final String NAME = "canary";

    public CanaryRule {
        requireNonNull(current, "current is null");
        requireNonNull(candidate, "candidate is null");
        if (percent < 0 || percent > 100) {
            throw new IllegalArgumentException("percent is %d, but must be 0 to 100.".formatted(percent));
        }
    }

    boolean isDecided() {
        return percent == 0 || percent == 100;
    }

    /** The stack that answers all keys; only of a decision. */
    String winner() {
        return percent == 100 ? candidate : current;
    }

    /** The default of all keys without a route of their own. */
    RouteRule toRouteRule() {
        if (isDecided()) {
            return new RouteRule(NAME, null, 0, winner(), null, null);
        }
        return new RouteRule(
                NAME,
                null,
                0,
                null,
                List.of(new RouteVariant(current, 100 - percent), new RouteVariant(candidate, percent)),
                null);
    }
}
