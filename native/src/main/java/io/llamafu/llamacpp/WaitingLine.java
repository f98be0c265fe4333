package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * The sequences without a slot. Sequences of the same stack are served in the order of arrival. Among stacks, the one with
 * the fewest running sequences is next, on a tie the one that has waited longest, so a flood of one stack does not delay the
 * others. The longest waiting sequence of all is overtaken at most {@code patience} times, so none starves.
 */
final class WaitingLine {
    private static final Comparator<Sequence> BY_ARRIVAL = Comparator.comparingLong(Sequence::submittedNanos);

    private final int maxAdapters;
    private final int patience;
    private final Map<List<AppliedAdapter>, Deque<Sequence>> byStack = new LinkedHashMap<>();
    private int size;

    private Sequence longestWaiting;
    private int overtaken;

    /**
     * An empty line.
     *
     * @param maxAdapters the most distinct adapters of the running sequences
     * @param patience how often the longest waiting sequence may be overtaken
     */
    WaitingLine(int maxAdapters, int patience) {
        this.maxAdapters = maxAdapters;
        this.patience = patience;
    }

    void add(Sequence sequence) {
        byStack.computeIfAbsent(sequence.stack(), stack -> new ArrayDeque<>()).add(sequence);
        size++;
    }

    int size() {
        return size;
    }

    /** Removes and returns the next sequence to run beside the running ones; empty if none may. */
    Optional<Sequence> next(Collection<Sequence> running) {
        if (size == 0) {
            return Optional.empty();
        }
        Sequence longest = heads().min(BY_ARRIVAL).orElseThrow();
        if (longest != longestWaiting) {
            longestWaiting = longest;
            overtaken = 0;
        }
        Set<String> active = digests(running);
        Optional<Sequence> next = overtaken < patience
                ? fairest(running, active)
                : Optional.of(longest).filter(one -> fits(one, active));
        next.ifPresent(this::take);
        return next;
    }

    private Stream<Sequence> heads() {
        return byStack.values().stream().map(Deque::element);
    }

    private Optional<Sequence> fairest(Collection<Sequence> running, Set<String> active) {
        Map<List<AppliedAdapter>, Integer> runningByStack = new LinkedHashMap<>();
        for (Sequence sequence : running) {
            runningByStack.merge(sequence.stack(), 1, Integer::sum);
        }
        return heads().filter(head -> fits(head, active))
                .min(Comparator.<Sequence>comparingInt(head -> runningByStack.getOrDefault(head.stack(), 0))
                        .thenComparing(BY_ARRIVAL));
    }

    private boolean fits(Sequence sequence, Set<String> active) {
        if (active.isEmpty()) {
            return true;
        }
        Set<String> together = new HashSet<>(active);
        sequence.stack().forEach(adapter -> together.add(adapter.digest()));
        return together.size() <= maxAdapters;
    }

    private static Set<String> digests(Collection<Sequence> running) {
        Set<String> digests = new HashSet<>();
        for (Sequence sequence : running) {
            sequence.stack().forEach(adapter -> digests.add(adapter.digest()));
        }
        return digests;
    }

    private void take(Sequence sequence) {
        List<AppliedAdapter> stack = sequence.stack();
        Deque<Sequence> line = byStack.get(stack);
        line.remove();
        if (line.isEmpty()) {
            byStack.remove(stack);
        }
        size--;
        overtaken++;
    }

    /** Removes and returns the sequences that match. */
    List<Sequence> remove(Predicate<Sequence> condition) {
        List<Sequence> removed = new ArrayList<>();
        for (Iterator<Deque<Sequence>> lines = byStack.values().iterator(); lines.hasNext(); ) {
            Deque<Sequence> line = lines.next();
            line.removeIf(sequence -> condition.test(sequence) && removed.add(sequence));
            if (line.isEmpty()) {
                lines.remove();
            }
        }
        size -= removed.size();
        return removed;
    }
}
