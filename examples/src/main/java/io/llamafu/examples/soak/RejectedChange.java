package io.llamafu.examples.soak;

/**
 * A JSON object of the topic {@code rejected-routes}.
 *
 * @param eventTime of the rejected {@link RouteChange}
 */
record RejectedChange(long eventTime, String errorCode, String error) {}
