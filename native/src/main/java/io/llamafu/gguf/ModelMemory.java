package io.llamafu.gguf;

/**
 * What a model keeps of the tokens of a sequence, as its hyperparameters tell: exact where every block with attention keeps
 * all tokens; where some keep a window only, the most that it can be.
 *
 * @param bytesPerToken half-precision keys and values of a token, in all blocks with attention
 * @param bytesPerSequence states of single precision, in all blocks that have one
 */
public record ModelMemory(long bytesPerToken, long bytesPerSequence) {
    /** llama.cpp rounds the cells of a sequence up to a multiple. */
    private static final int CELLS = 256;

    private static final long UNCOUNTABLE = 1L << 60;

    /** Bytes for sequences that may have so many tokens each, or more than any machine has if they are not countable. */
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
