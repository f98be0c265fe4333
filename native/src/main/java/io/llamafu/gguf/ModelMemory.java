package io.llamafu.gguf;

/**
 * The memory that a model keeps per sequence, computed from its hyperparameters. Exact if every block with attention
 * keeps all tokens; an upper bound if some keep only a window.
 *
 * @param bytesPerToken half-precision keys and values of a token, over all blocks with attention
 * @param bytesPerSequence single-precision states, over all blocks that have one
 */
public record ModelMemory(long bytesPerToken, long bytesPerSequence) {
    /** llama.cpp rounds the cells of a sequence up to a multiple of this. */
    private static final int CELLS = 256;

    private static final long UNCOUNTABLE = 1L << 60;

    /** Bytes for sequences of up to this many tokens each; 2^60 if the product overflows. */
    public long bytes(int sequences, int tokens) {
        long cells = (tokens + CELLS - 1L) / CELLS * CELLS;
        try {
            long sequence = Math.addExact(Math.multiplyExact(cells, bytesPerToken), bytesPerSequence);
            return Math.min(Math.multiplyExact(sequence, sequences), UNCOUNTABLE);
        } catch (ArithmeticException e) {
            return UNCOUNTABLE;
        }
    }
}
