package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;

import java.util.Arrays;
import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * A prompt and how far its answer is: first waiting, then in a slot, being prefilled and decoded. Plain data for the
 * {@link Scheduler}, whose thread owns it; a {@link PreparedRequest} has what is needed to compute it.
 *
 * <p>Its tokens are those of the prompt and those that were appended since. Tokens without a cell are outstanding: the rest of
 * the prompt, or what the last step appended, which may be several tokens. They are computed in order, as many at a time as a
 * batch has room for.
 */
final class Sequence {
    private final int[] prompt;
    private final List<AppliedAdapter> stack;
    private final int maxTokens;
    private final long submittedNanos;

    private Slot slot;
    /** The first {@code length} are in use. */
    private int[] tokens;

    private int length;
    private int cachedTokens;
    private int computedTokens;
    private int decodeSteps;
    private int plannedRows;
    /** The position from which on every row is an output; the row of the last token always is. */
    private int outputFrom = Integer.MAX_VALUE;

    private int outputRow;
    private int outputRows;
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
        this.tokens = prompt;
        this.length = prompt.length;
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

    /** How many tokens it has, with and without a cell. */
    int length() {
        return length;
    }

    /** How many of its tokens have no cell yet. */
    int outstanding() {
        return length - computedTokens;
    }

    /** The number of its tokens that the next batch computes. */
    void planRows(int rows) {
        plannedRows = rows;
        outputRows = 0;
    }

    int plannedRows() {
        return plannedRows;
    }

    /** Gives its next token a cell, and returns it. */
    int advance() {
        int token = tokens[computedTokens];
        slot.append(token);
        computedTokens++;
        return token;
    }

    /** Makes the rows of all tokens from a position on outputs, not only that of the last one. */
    void wantOutputFrom(int position) {
        outputFrom = position;
    }

    /** How many of its next rows are outputs. */
    int outputsWithin(int rows) {
        int end = computedTokens + rows;
        int wanted = Math.max(0, end - Math.max(computedTokens, outputFrom));
        return rows > 0 && end == length ? Math.max(1, wanted) : wanted;
    }

    /** Whether the logits of the row that was added last are wanted. */
    boolean isOutput() {
        return computedTokens == length || computedTokens > outputFrom;
    }

    /** Its last output row of the batch; those before it are its neighbors. */
    void outputAt(int row) {
        outputRow = row;
        outputRows++;
    }

    /** The last of its rows in the batch whose logits are wanted. */
    int outputRow() {
        return outputRow;
    }

    /** How many of its rows in the batch have logits that are wanted. */
    int outputRows() {
        return outputRows;
    }

    /** A step was read, whose rows are sound. */
    void confirm(long nowNanos) {
        if (decodeSteps++ == 0) {
            firstTokenNanos = nowNanos;
        }
        slot.confirm();
    }

    /** Adds tokens to be computed. */
    void append(int... appended) {
        int needed = length + appended.length;
        if (needed > tokens.length || tokens == prompt) {
            tokens = Arrays.copyOf(tokens, Math.max(needed, length + length / 4 + 16));
        }
        System.arraycopy(appended, 0, tokens, length, appended.length);
        length = needed;
    }

    /** Drops the tokens from a position on; those without a cell are computed again. */
    void goBackTo(int newLength, int cells) {
        length = newLength;
        computedTokens = cells;
        slot.keep(cells, stack);
    }

    /** How many steps were read. */
    int decodeSteps() {
        return decodeSteps;
    }

    /** How many tokens were appended to the prompt. */
    int generatedTokens() {
        return length - prompt.length;
    }

    boolean isFull() {
        return generatedTokens() >= maxTokens;
    }

    long admittedNanos() {
        return admittedNanos;
    }

    long firstTokenNanos() {
        return firstTokenNanos;
    }
}
