/** Routed requests become completions in the engine of the TaskManager. */
package io.llamafu.flink.completion;
