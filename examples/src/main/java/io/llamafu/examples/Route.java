package io.llamafu.examples;

import io.llamafu.flink.AdapterRoute;

import static java.util.Objects.requireNonNull;

/**
 * A line of {@code routes.jsonl}.
 *
 * @param eventTime milliseconds since the epoch from which the route is valid
 */
public record Route(String tenant, long eventTime, String stack) {
    public Route {
        requireNonNull(tenant, "tenant is null");
        requireNonNull(stack, "stack is null");
    }

    AdapterRoute toAdapterRoute() {
        return new AdapterRoute(tenant, stack, eventTime, null);
    }
}
