/**
 * Answers the records of a {@code DataStream} with a local model: {@link io.llamafu.flink.Llamafu} is the way in.
 *
 * <p>Only this package is for users. A record goes through {@link io.llamafu.flink.routing}, which decides the adapters
 * that answer it, perhaps {@link io.llamafu.flink.affinity}, which chooses the subtask, and
 * {@link io.llamafu.flink.completion}, which asks the engine.
 */
package io.llamafu.flink;
