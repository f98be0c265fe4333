/** Written forms of option values that Flink would not read as they are written. */
package io.llamafu.flink.options;
