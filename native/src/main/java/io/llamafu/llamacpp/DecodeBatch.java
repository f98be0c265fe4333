package io.llamafu.llamacpp;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;

/**
 * The rows of one decode step, in memory that llama.cpp reads in place. Columns for a capacity of C rows, one after the
 * other: int32 token[C], int32 position[C], int32 sequence[C], int8 output[C].
 */
final class DecodeBatch {
    private final ByteBuffer memory;
    private final IntBuffer tokens;
    private final IntBuffer positions;
    private final IntBuffer sequences;
    private final int outputsAt;
    private final int capacity;
    private int mostOutputs;
    private int rows;

    DecodeBatch(int capacity) {
        this.capacity = capacity;
        this.mostOutputs = capacity;
        int column = capacity * Integer.BYTES;
        this.memory = ByteBuffer.allocateDirect(3 * column + capacity).order(ByteOrder.nativeOrder());
        this.tokens = memory.slice(0, column).order(ByteOrder.nativeOrder()).asIntBuffer();
        this.positions =
                memory.slice(column, column).order(ByteOrder.nativeOrder()).asIntBuffer();
        this.sequences =
                memory.slice(2 * column, column).order(ByteOrder.nativeOrder()).asIntBuffer();
        this.outputsAt = 3 * column;
    }

    void clear() {
        rows = 0;
    }

    /**
     * Adds a token.
     *
     * @param output whether its logits are wanted
     * @return its row, which also identifies its logits
     */
    int add(int token, int position, int sequence, boolean output) {
        int row = rows++;
        tokens.put(row, token);
        positions.put(row, position);
        sequences.put(row, sequence);
        memory.put(outputsAt + row, (byte) (output ? 1 : 0));
        return row;
    }

    /** Fewer rows may have outputs than there can be rows. */
    void limitOutputs(int most) {
        mostOutputs = most;
    }

    int mostOutputs() {
        return mostOutputs;
    }

    int rows() {
        return rows;
    }

    int free() {
        return capacity - rows;
    }

    ByteBuffer memory() {
        return memory;
    }
}
