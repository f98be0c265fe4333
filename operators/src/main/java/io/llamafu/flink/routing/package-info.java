/**
 * Chooses the stack of adapters of each record from keyed state. From then on the stack travels with the record, so
 * that a replay after a failure uses the same one.
 */
package io.llamafu.flink.routing;
