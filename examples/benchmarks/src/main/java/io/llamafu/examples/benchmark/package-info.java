/**
 * Speed with models of random weights, which are as fast as trained ones of their size and need no download. A
 * benchmark is one class, a subcommand of {@link io.llamafu.examples.benchmark.Benchmarks}.
 */
package io.llamafu.examples.benchmark;
