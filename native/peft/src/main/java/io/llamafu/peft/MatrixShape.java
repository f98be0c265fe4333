package io.llamafu.peft;

/**
 * The shape of a matrix of the base.
 *
 * @param inputs its row length
 * @param outputs its rows
 */
record MatrixShape(long inputs, long outputs) {}
