package io.llamafu.llamacpp;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A sequence number of the context with its key-value cells. When its sequence is finished, the cells stay: a later prompt with
 * the same beginning, adapters and scales skips that part of the prefill. Cells that it does not use hold parked prefixes.
 */
final class Slot implements PrefixSource {
    private final int index;
    private final int[] cells;
    private int length;
    private int sound;
    /** llama.cpp has not freed cells after {@code length} yet. */
    private int occupied;

    private int promised;
    private int shared;
    private AdapterSpans spans = AdapterSpans.of(List.of());
    /** The one with the first cell is last. */
    private final List<ParkedPrefix> parked = new ArrayList<>();

    Slot(int index, int maxSequenceTokens) {
        this.index = index;
        this.cells = new int[maxSequenceTokens];
    }

    /** The sequence number in a batch. */
    int index() {
        return index;
    }

    @Override
    public int commonPrefix(int[] prompt, AdapterSpans promptSpans) {
        return commonPrefix(cells, sound, spans, prompt, promptSpans);
    }

    /** The number of leading tokens that two prompts share, of the first {@code length} of one of them. */
    static int commonPrefix(int[] tokens, int length, AdapterSpans spans, int[] prompt, AdapterSpans promptSpans) {
        if (length == 0 || tokens[0] != prompt[0]) {
            return 0;
        }
        int most = Math.min(Math.min(length, prompt.length), spans.agreement(promptSpans));
        int mismatch = Arrays.mismatch(tokens, 0, most, prompt, 0, most);
        return mismatch < 0 ? most : mismatch;
    }

    @Override
    public boolean reaches(Slot target, int count) {
        return target != this;
    }

    @Override
    public boolean copyTo(LlamaContext context, Slot target, int count) {
        return context.copyCells(index, target.index, count);
    }

    @Override
    public void shared(int count, long use) {
        shared = Math.max(shared, count);
    }

    /** How many of its first tokens began another prompt as well. */
    int shared() {
        return shared;
    }

    /** Its next sequence has a prompt of that many tokens. */
    void promise(int tokens) {
        promised = tokens;
    }

    /** Has only the cells of the first tokens of a prompt now. An earlier prompt began with them too, and they are finite. */
    void keep(int[] prompt, int count, AdapterSpans keptSpans) {
        System.arraycopy(prompt, 0, cells, 0, count);
        length = count;
        sound = count;
        occupied = count;
        shared = count;
        spans = keptSpans;
    }

    /** Has only its first cells left. */
    void cut(int count) {
        length = count;
        sound = count;
        occupied = count;
        shared = Math.min(shared, count);
    }

    /** Records the token whose cell is computed next. */
    void append(int token) {
        cells[length++] = token;
        occupied = Math.max(occupied, length);
    }

    int length() {
        return length;
    }

    int sound() {
        return sound;
    }

    int[] soundTokens(int count) {
        return Arrays.copyOf(cells, count);
    }

    AdapterSpans spans() {
        return spans;
    }

    /** A token was sampled from its cells, so none of them holds an infinity or NaN. */
    void confirm() {
        sound = length;
    }

    /** Forgets the cells that were never sampled from. */
    void keepSound() {
        length = sound;
        promised = 0;
    }

    /** Forgets all cells, whose state is unknown. */
    void forget() {
        length = 0;
        sound = 0;
        parked.clear();
    }

    /** The prefixes in its unused cells. */
    List<ParkedPrefix> parked() {
        return parked;
    }

    /** The cells from this one on hold nothing but parked prefixes. */
    int firstUnused() {
        return Math.max(occupied, promised);
    }

    int capacity() {
        return cells.length;
    }

    /** The first of {@code count} unused cells, as far back as possible; -1 if there are not so many together. */
    int gap(int count) {
        int end = cells.length;
        for (ParkedPrefix prefix : parked) {
            if (end - prefix.firstCell() - prefix.length() >= count) {
                break;
            }
            end = prefix.firstCell();
        }
        return end - count >= firstUnused() ? end - count : -1;
    }

    void park(ParkedPrefix prefix) {
        int place = 0;
        while (place < parked.size() && parked.get(place).firstCell() > prefix.firstCell()) {
            place++;
        }
        parked.add(place, prefix);
    }

    /** Drops the prefixes in its first cells. */
    void makeRoom(int count) {
        while (!parked.isEmpty() && parked.get(parked.size() - 1).firstCell() < count) {
            parked.remove(parked.size() - 1);
        }
    }
}
