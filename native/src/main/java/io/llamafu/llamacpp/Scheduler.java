package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.EngineOptions.LoraBatching;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Predicate;

/**
 * Decides which tokens the next decode step computes: pure bookkeeping over a queue of waiting and a list of running
 * sequences, without a model. One thread owns it.
 *
 * <p>The {@link WaitingLine} chooses the sequence for the next free slot. A slot has cells for a whole sequence, so a running
 * sequence is never preempted. In every step each generating sequence gets rows for its next tokens; the rest of the batch
 * prefills prompts, the oldest first.
 */
final class Scheduler {
    /**
     * A shorter common prefix does not influence the choice of a slot. llama.cpp computes neighboring slots together, so a
     * slot far from the others costs more than the prefill of a few tokens.
     */
    static final int SHORTEST_PREFIX = 32;

    /** How often the longest waiting sequence may be overtaken by those of less busy stacks, for each slot. */
    static final int PATIENCE_PER_SLOT = 2;

    /** llama.cpp computes rows of ascending neighboring slots together. */
    private static final Comparator<Sequence> BY_SLOT =
            Comparator.comparingInt(sequence -> sequence.slot().index());

    private final LoraBatching loraBatching;
    private final TreeSet<Slot> freeSlots = new TreeSet<>(Comparator.comparingInt(Slot::index));
    private final WaitingLine waiting;
    private final List<Sequence> running = new ArrayList<>();
    private final List<Sequence> bySlot = new ArrayList<>();
    private final List<Sequence> sampled = new ArrayList<>();

    /**
     * A scheduler without work.
     *
     * @param maxAdapters the most distinct adapters of the running sequences
     */
    Scheduler(int slots, int maxSequenceTokens, LoraBatching loraBatching, int maxAdapters) {
        this.loraBatching = loraBatching;
        this.waiting = new WaitingLine(maxAdapters, PATIENCE_PER_SLOT * slots);
        for (int index = 0; index < slots; index++) {
            freeSlots.add(new Slot(index, maxSequenceTokens));
        }
    }

    void add(Sequence sequence) {
        waiting.add(sequence);
    }

    boolean hasWork() {
        return waiting.size() > 0 || !running.isEmpty();
    }

    List<Sequence> running() {
        return running;
    }

    /** Moves waiting sequences into free slots, and returns them. */
    List<Sequence> admit(long nowNanos) {
        List<Sequence> admitted = new ArrayList<>();
        while (!freeSlots.isEmpty()) {
            Optional<Sequence> next = waiting.next(running);
            if (next.isEmpty()) {
                break;
            }
            Sequence sequence = next.get();
            Slot slot = bestSlot(sequence.prompt(), sequence.stack());
            freeSlots.remove(slot);
            sequence.admit(slot, nowNanos);
            running.add(sequence);
            admitted.add(sequence);
        }
        return admitted;
    }

    /** The free slot with the longest prefix of the prompt, if that is long enough; else the first. */
    private Slot bestSlot(int[] prompt, List<AppliedAdapter> adapters) {
        Slot first = freeSlots.first();
        Slot best = first;
        int longest = SHORTEST_PREFIX - 1;
        for (Slot slot : freeSlots) {
            int common = slot.commonPrefix(prompt, adapters);
            if (common > longest) {
                best = slot;
                longest = common;
            }
        }
        return best;
    }

    /** The slots without a running sequence. */
    Collection<Slot> freeSlots() {
        return freeSlots;
    }

    /** The running sequences that share a decode call: all of them, or those of one stack. */
    Collection<List<Sequence>> groups() {
        if (loraBatching == LoraBatching.MIXED) {
            return running.isEmpty() ? List.of() : List.of(running);
        }
        Map<List<AppliedAdapter>, List<Sequence>> byStack = new LinkedHashMap<>();
        for (Sequence sequence : running) {
            byStack.computeIfAbsent(sequence.stack(), stack -> new ArrayList<>())
                    .add(sequence);
        }
        return byStack.values();
    }

    /**
     * Fills a batch from a group.
     *
     * @return the sequences with output rows in it, see {@link Sequence#outputRow}; the next call fills the list anew
     */
    List<Sequence> fill(List<Sequence> group, DecodeBatch batch) {
        batch.clear();
        sampled.clear();
        plan(group, batch.free(), batch.mostOutputs());
        bySlot.clear();
        bySlot.addAll(group);
        bySlot.sort(BY_SLOT);
        for (Sequence sequence : bySlot) {
            addRows(sequence, batch);
        }
        return sampled;
    }

    /**
     * The outstanding tokens of each generating sequence, at least one, and the rest for prompts in the order of their
     * admission. Rows of outputs are limited too; one for each sequence is always possible.
     */
    private static void plan(List<Sequence> group, int capacity, int mostOutputs) {
        int free = capacity;
        int spareOutputs = mostOutputs - group.size();
        for (Sequence sequence : group) {
            if (!sequence.isPrefilling()) {
                sequence.planRows(1);
                free--;
            }
        }
        for (boolean prefilling : new boolean[] {false, true}) {
            for (Sequence sequence : group) {
                if (sequence.isPrefilling() == prefilling) {
                    int planned = prefilling ? 0 : 1;
                    int rows = Math.min(sequence.outstanding(), planned + free);
                    rows -= Math.max(0, sequence.outputsWithin(rows) - 1 - spareOutputs);
                    spareOutputs -= Math.max(0, sequence.outputsWithin(rows) - 1);
                    free -= rows - planned;
                    sequence.planRows(rows);
                }
            }
        }
    }

    private void addRows(Sequence sequence, DecodeBatch batch) {
        for (int i = 0; i < sequence.plannedRows(); i++) {
            int position = sequence.computedTokens();
            int token = sequence.advance();
            boolean output = sequence.isOutput();
            int row = batch.add(token, position, sequence.slot().index(), output);
            if (output) {
                if (sequence.outputRows() == 0) {
                    sampled.add(sequence);
                }
                sequence.outputAt(row);
            }
        }
    }

    /** Takes a sequence out of its slot. Cells that a token was sampled from stay as a prefix cache. */
    void finish(Sequence sequence) {
        running.remove(sequence);
        sequence.slot().keepSound();
        freeSlots.add(sequence.slot());
    }

    /** Removes and returns the waiting and running sequences that match. */
    List<Sequence> remove(Predicate<Sequence> condition) {
        List<Sequence> removed = waiting.remove(condition);
        removed.addAll(removeRunning(condition));
        return removed;
    }

    /** Removes and returns the running sequences that match. */
    List<Sequence> removeRunning(Predicate<Sequence> condition) {
        List<Sequence> removed = new ArrayList<>();
        for (Sequence sequence : List.copyOf(running)) {
            if (condition.test(sequence)) {
                finish(sequence);
                removed.add(sequence);
            }
        }
        return removed;
    }
}
