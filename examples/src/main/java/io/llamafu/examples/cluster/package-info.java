/** Clusters of real processes on this machine: Flink and Kafka from their Maven jars, for examples and tests. */
package io.llamafu.examples.cluster;
