package io.llamafu.llamacpp;

import java.util.Arrays;

import static java.util.Objects.requireNonNull;

/**
 * The beginning of a prompt, kept in cells that a slot does not need at the moment. llama.cpp takes these cells for empty; they
 * are lost when the sequence of the slot grows into them.
 */
final class ParkedPrefix implements PrefixSource {
    private final Slot holder;
    private final int firstCell;
    private final int[] tokens;
    private final AdapterSpans spans;
    private long lastUse;

    /** @param use as in {@link #shared} */
    ParkedPrefix(Slot holder, int firstCell, int[] tokens, AdapterSpans spans, long use) {
        this.holder = requireNonNull(holder, "holder is null");
        this.firstCell = firstCell;
        this.tokens = requireNonNull(tokens, "tokens is null");
        this.spans = requireNonNull(spans, "spans is null");
        this.lastUse = use;
    }

    Slot holder() {
        return holder;
    }

    int firstCell() {
        return firstCell;
    }

    int length() {
        return tokens.length;
    }

    long lastUse() {
        return lastUse;
    }

    @Override
    public int commonPrefix(int[] prompt, AdapterSpans promptSpans) {
        return Slot.commonPrefix(tokens, tokens.length, spans, prompt, promptSpans);
    }

    /** The cells of a slot must not be copied over those that are still to be read. */
    @Override
    public boolean reaches(Slot target, int count) {
        return target != holder || count <= firstCell;
    }

    @Override
    public boolean copyTo(LlamaContext context, Slot target, int count) {
        context.unparkCells(holder.index(), firstCell, Arrays.copyOf(tokens, count), target.index());
        return true;
    }

    @Override
    public void shared(int count, long use) {
        lastUse = use;
    }
}
