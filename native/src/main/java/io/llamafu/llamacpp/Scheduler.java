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
    /** How often the longest waiting sequence may be overtaken by those of less busy stacks, for each slot. */
    static final int PATIENCE_PER_SLOT = 2;

    /** llama.cpp computes rows of ascending neighboring slots together. */
    private static final Comparator<Sequence> BY_SLOT =
            Comparator.comparingInt(sequence -> sequence.slot().index());

    private final LoraBatching loraBatching;
    private final PrefixCache prefixes;
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
    Scheduler(
            int slots, int maxSequenceTokens, LoraBatching loraBatching, int maxAdapters, PrefixCache.Sharing sharing) {
        this.loraBatching = loraBatching;
        this.prefixes = new PrefixCache(sharing, slots, maxSequenceTokens);
        this.waiting = new WaitingLine(maxAdapters, PATIENCE_PER_SLOT * slots);
        this.freeSlots.addAll(prefixes.slots());
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
            Slot slot = bestSlot(sequence);
            freeSlots.remove(slot);
            sequence.admit(slot, nowNanos);
            running.add(sequence);
            admitted.add(sequence);
        }
        return admitted;
    }

    /**
     * The free slot with the longest prefix of the prompt, if that is long enough; else the first. llama.cpp computes
     * neighboring slots together, so a slot far from the others costs more than the prefill of a few tokens.
     */
    private Slot bestSlot(Sequence sequence) {
        Slot best = freeSlots.first();
        int longest = PrefixCache.SHORTEST - 1;
        for (Slot slot : freeSlots) {
            int common = prefixes.inPlace(sequence, slot);
            if (common > longest) {
                best = slot;
                longest = common;
            }
        }
        return best;
    }

    PrefixCache prefixes() {
        return prefixes;
    }

    /** The admitted sequences that are to be started next. The others wait for a prefix, see {@link #mayStart}. */
    List<Sequence> unstarted() {
        return running.stream().filter(sequence -> !sequence.isStarted()).toList();
    }

    /**
     * Whether a sequence has nothing to wait for. It waits while one that was admitted before it prefills more of its prompt
     * than any cells hold: that one is ahead of it in every batch, so waiting delays it by less than computing the same again.
     */
    boolean mayStart(Sequence sequence) {
        if (!prefixes.sharing().copies()) {
            return true;
        }
        if (sequence.awaited() == null || !prefills(sequence.awaited())) {
            int held = prefixes.longest(sequence).tokens();
            sequence.await(running.stream()
                    .takeWhile(earlier -> earlier != sequence)
                    .filter(Scheduler::isPrefilling)
                    .filter(earlier -> earlier.willHold(sequence) >= held + PrefixCache.SHORTEST)
                    .max(Comparator.comparingInt(earlier -> earlier.willHold(sequence)))
                    .orElse(null));
        }
        return sequence.awaited() == null;
    }

    private boolean prefills(Sequence sequence) {
        return isPrefilling(sequence) && running.contains(sequence);
    }

    /** Its cells can be used by others when a token was sampled from them. */
    private static boolean isPrefilling(Sequence sequence) {
        return sequence.decodeSteps() == 0;
    }

    /** The slots without a running sequence. */
    Collection<Slot> freeSlots() {
        return freeSlots;
    }

    /** The started sequences that share a decode call: all of them, or those with the same adapters for their next tokens. */
    Collection<List<Sequence>> groups() {
        List<Sequence> started = running.stream().filter(Sequence::isStarted).toList();
        if (loraBatching == LoraBatching.MIXED) {
            return started.isEmpty() ? List.of() : List.of(started);
        }
        Map<List<AppliedAdapter>, List<Sequence>> byStack = new LinkedHashMap<>();
        for (Sequence sequence : started) {
            byStack.computeIfAbsent(sequence.nextAdapters(), adapters -> new ArrayList<>())
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
     * admission. All rows of a sequence have the same adapters. Rows of outputs are limited too; one for each sequence is
     * always possible.
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
                    int rows = Math.min(sequence.nextRows(), planned + free);
                    rows -= Math.max(0, sequence.outputsWithin(rows) - 1 - spareOutputs);
                    spareOutputs -= Math.max(0, sequence.outputsWithin(rows) - 1);
                    free -= rows - planned;
                    sequence.planRows(rows);
                }
            }
        }
    }

    private void addRows(Sequence sequence, DecodeBatch batch) {
        sequence.slot().makeRoom(sequence.computedTokens() + sequence.plannedRows());
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
