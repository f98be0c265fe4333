package io.llamafu.llamacpp;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.LongBuffer;

/**
 * The sequences that get a token in this step, in memory shared with llama.cpp. Columns for a capacity of S rows:
 * int64 sampler[S], int32 batch row[S], int32 token[S] (the result; -1 if the row failed).
 */
final class SamplingRound {
    private final ByteBuffer memory;
    private final LongBuffer samplers;
    private final IntBuffer batchRows;
    private final IntBuffer tokens;
    private int rows;

    SamplingRound(int capacity) {
        int column = capacity * Integer.BYTES;
        this.memory = ByteBuffer.allocateDirect(4 * column).order(ByteOrder.nativeOrder());
        this.samplers =
                memory.slice(0, 2 * column).order(ByteOrder.nativeOrder()).asLongBuffer();
        this.batchRows =
                memory.slice(2 * column, column).order(ByteOrder.nativeOrder()).asIntBuffer();
        this.tokens =
                memory.slice(3 * column, column).order(ByteOrder.nativeOrder()).asIntBuffer();
    }

    void clear() {
        rows = 0;
    }

    /** The sampler must stay open until the round is sampled. */
    void add(TokenSampler sampler, int batchRow) {
        samplers.put(rows, sampler.acquire());
        sampler.release();
        batchRows.put(rows, batchRow);
        rows++;
    }

    int rows() {
        return rows;
    }

    int token(int row) {
        return tokens.get(row);
    }

    ByteBuffer memory() {
        return memory;
    }
}
