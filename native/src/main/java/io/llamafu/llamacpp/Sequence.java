package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * A prompt and how far its answer is: first waiting, then in a slot, being prefilled and decoded. Plain data for the
 * {@link Scheduler}, whose thread owns it; a {@link PreparedRequest} has what is needed to compute it.
 */
final class Sequence {
    private final int[] prompt;
    private final List<AppliedAdapter> stack;
    private final int maxTokens;
    private final long submittedNanos;

    private Slot slot;
    private int cachedTokens;
    private int computedTokens;
    private int generatedTokens;
    private int lastToken;
    private int plannedRows;
    private int outputRow;
    private long admittedNanos;
    private long firstTokenNanos;

    /**
     * A sequence that waits.
     *
     * @param stack the adapters that answer; sequences with equal stacks compute the same
     * @param maxTokens the most tokens to generate, as many as the context leaves or fewer
     * @param submittedNanos as in {@link System#nanoTime()}
     */
    Sequence(int[] prompt, List<AppliedAdapter> stack, int maxTokens, long submittedNanos) {
        this.prompt = requireNonNull(prompt, "prompt is null");
        this.stack = requireNonNull(stack, "stack is null");
        this.maxTokens = maxTokens;
        this.submittedNanos = submittedNanos;
    }

    int[] prompt() {
        return prompt;
    }

    List<AppliedAdapter> stack() {
        return stack;
    }

    int maxTokens() {
        return maxTokens;
    }

    long submittedNanos() {
        return submittedNanos;
    }

    Slot slot() {
        return slot;
    }

    void admit(Slot admittedTo, long nowNanos) {
        slot = admittedTo;
        admittedNanos = nowNanos;
    }

    /** How many leading tokens of the prompt its slot holds already. The last token is always computed. */
    int reusableTokens() {
        return Math.min(slot.commonPrefix(prompt, stack), prompt.length - 1);
    }

    /** Keeps that many cells of its slot, and starts after them. */
    void startAfter(int cached) {
        slot.keep(cached, stack);
        cachedTokens = cached;
        computedTokens = cached;
    }

    boolean isPrefilling() {
        return computedTokens < prompt.length;
    }

    int cachedTokens() {
        return cachedTokens;
    }

    /** How many of its tokens have a cell: the position of the next one. */
    int computedTokens() {
        return computedTokens;
    }

    /** The number of its tokens that the next batch computes. */
    void planRows(int rows) {
        plannedRows = rows;
    }

    int plannedRows() {
        return plannedRows;
    }

    /** Gives its next token a cell, and returns it: of the prompt while prefilling, else the one sampled last. */
    int advance() {
        int token = isPrefilling() ? prompt[computedTokens] : lastToken;
        slot.append(token);
        computedTokens++;
        return token;
    }

    /** The row of the batch that its next token is sampled from. */
    void outputAt(int row) {
        outputRow = row;
    }

    int outputRow() {
        return outputRow;
    }

    /** Takes a sampled token. */
    void accept(int token, long nowNanos) {
        if (generatedTokens++ == 0) {
            firstTokenNanos = nowNanos;
        }
        lastToken = token;
        slot.confirm();
    }

    int generatedTokens() {
        return generatedTokens;
    }

    boolean isFull() {
        return generatedTokens == maxTokens;
    }

    long admittedNanos() {
        return admittedNanos;
    }

    long firstTokenNanos() {
        return firstTokenNanos;
    }
}
