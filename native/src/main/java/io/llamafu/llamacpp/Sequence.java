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
    private final AdapterSpans spans;
    private final int maxTokens;
    private final long submittedNanos;

    private Slot slot;
    /** The first {@code length} are in use. */
    private int[] tokens;

    private int length;
    private Sequence awaited;
    private boolean started;
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
     * @param spans the adapters that answer; sequences whose spans agree compute the same
     * @param maxTokens the most tokens to generate, as many as the context leaves or fewer
     * @param submittedNanos as in {@link System#nanoTime()}
     */
    Sequence(int[] prompt, AdapterSpans spans, int maxTokens, long submittedNanos) {
        this.prompt = requireNonNull(prompt, "prompt is null");
        this.spans = requireNonNull(spans, "spans is null");
        this.tokens = prompt;
        this.length = prompt.length;
        this.maxTokens = maxTokens;
        this.submittedNanos = submittedNanos;
    }

    int[] prompt() {
        return prompt;
    }

    /** The adapters that change it. */
    List<AppliedAdapter> stack() {
        return spans.applied();
    }

    AdapterSpans spans() {
        return spans;
    }

    /** The adapters that compute its next token. */
    List<AppliedAdapter> nextAdapters() {
        return spans.at(computedTokens);
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
        slot.promise(prompt.length);
        admittedNanos = nowNanos;
    }

    /** Waits for a sequence that computes the beginning of its prompt; null ends that. */
    void await(Sequence other) {
        awaited = other;
    }

    Sequence awaited() {
        return awaited;
    }

    /** Starts after the cells that its slot has now: the first ones of its prompt. */
    void startAfter(int cached) {
        started = true;
        slot.keep(prompt, cached, spans);
        cachedTokens = cached;
        computedTokens = cached;
    }

    /** Whether it is decoded; before that it has a slot, but no cells. */
    boolean isStarted() {
        return started;
    }

    boolean isPrefilling() {
        return computedTokens < prompt.length;
    }

    /** How many leading tokens of another prompt its cells will hold when its own prompt is prefilled. */
    int willHold(Sequence other) {
        int common = Slot.commonPrefix(prompt, prompt.length, spans, other.prompt, other.spans);
        return Math.min(common, other.prompt.length - 1);
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

    /** How many of those have the same adapters as the first of them. */
    int nextRows() {
        return Math.min(outstanding(), spans.nextStart(computedTokens) - computedTokens);
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
        slot.cut(cells);
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
