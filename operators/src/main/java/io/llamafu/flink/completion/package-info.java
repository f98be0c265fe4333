/** Answers routed requests with the engine of the TaskManager. */
package io.llamafu.flink.completion;
