/**
 * SQL and the Table API: the module {@code llamafu} with its functions, and the model provider {@code llamafu} for
 * {@code ML_PREDICT}.
 *
 * <p>Functions and models describe a {@link io.llamafu.flink.table.Task}; an {@link io.llamafu.flink.table.Asker} asks the
 * engine of the TaskManager and lets {@code on-error} decide what becomes of a failure.
 */
package io.llamafu.flink.table;
