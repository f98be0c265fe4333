package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;

import java.util.List;

/**
 * A sequence number of the context with its key-value cells. When its sequence is finished, the cells stay as a prefix
 * cache: a later prompt with the same beginning, adapters and scales skips that part of the prefill.
 */
final class Slot {
    private final int index;
    private final int[] cells;
    private int length;
    private int sound;
    private List<AppliedAdapter> adapters = List.of();

    Slot(int index, int maxSequenceTokens) {
        this.index = index;
        this.cells = new int[maxSequenceTokens];
    }

    /** The sequence number in a batch. */
    int index() {
        return index;
    }

    /** How many leading tokens of a prompt are in its cells. */
    int commonPrefix(int[] prompt, List<AppliedAdapter> promptAdapters) {
        if (length == 0 || !adapters.equals(promptAdapters)) {
            return 0;
        }
        int limit = Math.min(length, prompt.length);
        int common = 0;
        while (common < limit && cells[common] == prompt[common]) {
            common++;
        }
        return common;
    }

    /** Keeps the first cells, which were computed with these adapters and are finite. */
    void keep(int count, List<AppliedAdapter> keptAdapters) {
        length = count;
        sound = count;
        adapters = keptAdapters;
    }

    /** Records the token whose cell is computed next. */
    void append(int token) {
        cells[length++] = token;
    }

    int length() {
        return length;
    }

    /** A token was sampled from its cells, so none of them holds an infinity or NaN. */
    void confirm() {
        sound = length;
    }

    /** Forgets the cells that were never sampled from. */
    void keepSound() {
        length = sound;
    }
}
