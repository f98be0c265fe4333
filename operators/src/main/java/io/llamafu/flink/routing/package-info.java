/**
 * Keyed state decides which stack of adapters answers a record. From then on the stack travels with the record, so that
 * a replay after a failure uses the same one.
 */
package io.llamafu.flink.routing;
