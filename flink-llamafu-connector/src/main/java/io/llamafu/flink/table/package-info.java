/**
 * SQL and the Table API: the module {@code llamafu} with its functions, and the model provider {@code llamafu} for
 * {@code ML_PREDICT}.
 *
 * <p>{@link io.llamafu.flink.table.CallOptions} turns a call into a question, an {@link
 * io.llamafu.flink.completion.EngineClient} asks it, and {@link io.llamafu.flink.table.OutputColumn} reads the outcome.
 */
package io.llamafu.flink.table;
