package io.llamafu.llamacpp;

import io.llamafu.engine.ResolvedAdapter;

import java.util.List;

/**
 * A sequence number of the context with its stream of key-value cells. After its sequence is done the cells stay as a
 * prefix cache: the next prompt that begins alike, under the very same adapters and scales, need not be prefilled anew.
 */
final class Slot {
    private final int index;
    private final int[] cells;
    private int length;
    private int sound;
    private List<ResolvedAdapter> adapters = List.of();

    Slot(int index, int maxSequenceTokens) {
        this.index = index;
        this.cells = new int[maxSequenceTokens];
    }

    /** The sequence number in a batch. */
    int index() {
        return index;
    }

    /** How many leading tokens of a prompt its cells hold. */
    int commonPrefix(int[] prompt, List<ResolvedAdapter> promptAdapters) {
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

    /** Keeps the first cells, which were computed under these adapters and are sound. */
    void keep(int count, List<ResolvedAdapter> keptAdapters) {
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

    /** A token was sampled from what all cells hold: none of them holds an infinity or what is no number. */
    void confirm() {
        sound = length;
    }

    /** Forgets the cells that no token was sampled from. */
    void keepSound() {
        length = sound;
    }
}
