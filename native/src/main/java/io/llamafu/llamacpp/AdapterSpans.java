package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The adapters of a sequence, and the position of the first token that each changes: 0 for an ordinary adapter, the invocation
 * for an activated one (aLoRA). What precedes an invocation is computed, and can be shared, without that adapter.
 */
final class AdapterSpans {
    /** The start of an activated adapter whose invocation is not in the prompt. */
    static final int NEVER = Integer.MAX_VALUE;

    private final List<AppliedAdapter> adapters;
    private final int[] starts;
    private final List<AppliedAdapter> applied;
    private final boolean constant;

    private AdapterSpans(List<AppliedAdapter> adapters, int[] starts) {
        this.adapters = List.copyOf(adapters);
        this.starts = starts;
        this.applied = at(NEVER - 1);
        this.constant = nextStart(0) == NEVER;
    }

    /** Ordinary adapters, which change every token. */
    static AdapterSpans of(List<AppliedAdapter> adapters) {
        return new AdapterSpans(adapters, new int[adapters.size()]);
    }

    /**
     * The adapters of a prompt.
     *
     * @param invocations the invocation tokens of each adapter; empty for an ordinary one
     */
    static AdapterSpans of(List<AppliedAdapter> adapters, List<List<Integer>> invocations, int[] prompt) {
        int[] starts = new int[adapters.size()];
        for (int i = 0; i < starts.length; i++) {
            starts[i] = invocations.get(i).isEmpty() ? 0 : lastInvocation(invocations.get(i), prompt);
        }
        return new AdapterSpans(adapters, starts);
    }

    /** Where the last invocation begins. */
    private static int lastInvocation(List<Integer> invocation, int[] prompt) {
        int[] tokens = invocation.stream().mapToInt(Integer::intValue).toArray();
        for (int start = prompt.length - tokens.length; start >= 0; start--) {
            if (Arrays.equals(prompt, start, start + tokens.length, tokens, 0, tokens.length)) {
                return start;
            }
        }
        return NEVER;
    }

    /** Those that change the sequence, in the order of the stack. */
    List<AppliedAdapter> applied() {
        return applied;
    }

    /** Whether the adapter of this place in the stack changes the token at a position. */
    boolean applies(int place, int position) {
        return starts[place] <= position;
    }

    /** The adapters that change the token at a position. */
    List<AppliedAdapter> at(int position) {
        List<AppliedAdapter> here = new ArrayList<>(starts.length);
        for (int place = 0; place < starts.length; place++) {
            if (applies(place, position)) {
                here.add(adapters.get(place));
            }
        }
        return here;
    }

    /** The next position at which another adapter begins; {@link #NEVER} if none does. */
    int nextStart(int position) {
        int next = NEVER;
        for (int start : starts) {
            if (start > position) {
                next = Math.min(next, start);
            }
        }
        return next;
    }

    /** How many leading tokens both compute with the same adapters. */
    int agreement(AdapterSpans other) {
        if (constant && other.constant) {
            return applied.equals(other.applied) ? NEVER : 0;
        }
        int position = 0;
        while (position < NEVER && at(position).equals(other.at(position))) {
            position = Math.min(nextStart(position), other.nextStart(position));
        }
        return position;
    }
}
