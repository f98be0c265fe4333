package io.llamafu.peft;

/**
 * The order of query and key rows. Rotary embeddings rotate pairs of rows of a head. Transformers stores the two rows
 * of a pair half a head apart; llama.cpp has them next to each other in models of the architecture llama and a few
 * others, and reordered the weights when it converted them. The matrix B of an adapter has the same rows as the weights.
 */
final class RotaryRows {
    private RotaryRows() {}

    /**
     * Reorders the rows of one head for llama.cpp: 0, h, 1, h + 1, ... for a head of 2 h rows.
     *
     * @param head its rows, one after another, in the order of Transformers
     * @param rows an even number
     */
    static float[] interleave(float[] head, int rows) {
        float[] interleaved = new float[head.length];
        int length = head.length / rows;
        int half = rows / 2;
        for (int pair = 0; pair < half; pair++) {
            System.arraycopy(head, pair * length, interleaved, 2 * pair * length, length);
            System.arraycopy(head, (half + pair) * length, interleaved, (2 * pair + 1) * length, length);
        }
        return interleaved;
    }
}
