package io.llamafu.examples.soak;

import io.llamafu.flink.AdapterRoute;

import javax.annotation.Nullable;

/**
 * A JSON object of the topic {@code routes}.
 *
 * @param eventTime in milliseconds since the epoch; unique, so it identifies a rejected change
 */
public record RouteChange(@Nullable String key, @Nullable String stack, long eventTime) {
    AdapterRoute toAdapterRoute() {
        return new AdapterRoute(key, stack, eventTime, null);
    }
}
