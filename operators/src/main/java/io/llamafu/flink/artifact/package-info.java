/** Fetches models and adapters from any Flink file system into a shared local cache, once each. */
package io.llamafu.flink.artifact;
