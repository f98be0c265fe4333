/**
 * Answers the records of a {@code DataStream} with a local model; start with {@link io.llamafu.flink.Llamafu}.
 *
 * <p>Only this package is public API. A record passes {@link io.llamafu.flink.routing}, which chooses its adapters,
 * optionally {@link io.llamafu.flink.affinity}, which chooses the subtask, and {@link io.llamafu.flink.completion},
 * which asks the engine.
 */
package io.llamafu.flink;
