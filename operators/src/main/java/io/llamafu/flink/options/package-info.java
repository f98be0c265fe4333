/** Written forms of option values that Flink would change when parsing them. */
package io.llamafu.flink.options;
