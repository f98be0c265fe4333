package io.llamafu.llamacpp;

/** Cells with the beginning of an earlier prompt. */
sealed interface PrefixSource permits Slot, ParkedPrefix {

    /** How many leading tokens of a prompt they hold, computed with the same adapters. */
    int commonPrefix(int[] prompt, AdapterSpans promptSpans);

    /** Whether they can be copied into the cells of a slot. */
    boolean reaches(Slot target, int count);

    /** Replaces the cells of a slot by copies; false, with the slot as before, if their rest could not be continued. */
    boolean copyTo(LlamaContext context, Slot target, int count);

    /**
     * Notes that a prompt of another sequence began with the first of them.
     *
     * @param use numbers the uses of all prefixes
     */
    void shared(int count, long use);
}
