package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.llamacpp.PrefixCache.Sharing;
import org.junit.jupiter.api.Test;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The scheduler's promises. It is plain bookkeeping, so no model and no native library is needed. */
class SchedulerTest {
    private static final int MAX_TOKENS = 512;

    private long clock;

    /** A prompt of 40 tokens, the same for all. */
    private Sequence sequence(String stack) {
        int[] prompt = IntStream.range(300, 340).toArray();
        List<AppliedAdapter> adapters = AdapterStack.parse(stack).entries().stream()
                .map(entry -> new AppliedAdapter(entry.name(), entry.scale().orElse(1f), "digest of " + entry.name()))
                .toList();
        return new Sequence(prompt, AdapterSpans.of(adapters), 100, clock++);
    }

    private static Scheduler scheduler(int slots, LoraBatching batching, int maxAdapters) {
        return new Scheduler(slots, MAX_TOKENS, batching, maxAdapters, Sharing.IN_PLACE);
    }

    /** Admits what it can, and starts it as the decode loop does. */
    private static List<Sequence> start(Scheduler scheduler) {
        List<Sequence> admitted = scheduler.admit(0);
        admitted.forEach(sequence -> sequence.startAfter(reusable(scheduler, sequence)));
        return admitted;
    }

    private static int reusable(Scheduler scheduler, Sequence sequence) {
        return scheduler.prefixes().longest(sequence).tokens();
    }

    private List<Sequence> add(Scheduler scheduler, String stack, int count) {
        List<Sequence> added =
                Stream.generate(() -> sequence(stack)).limit(count).toList();
        added.forEach(scheduler::add);
        return added;
    }

    private static Set<String> adapters(List<Sequence> running) {
        return running.stream()
                .flatMap(sequence -> sequence.stack().stream())
                .map(AppliedAdapter::name)
                .collect(Collectors.toSet());
    }

    @Test
    void oneStackIsServedInTheOrderOfArrival() {
        Scheduler scheduler = scheduler(3, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "medical", 5);

        assertThat(scheduler.admit(0)).isEqualTo(added.subList(0, 3));
        scheduler.finish(added.get(1));
        assertThat(scheduler.admit(0)).containsExactly(added.get(3));
    }

    @Test
    void floodOfOneStackDoesNotHoldUpAnother() {
        Scheduler scheduler = scheduler(4, LoraBatching.MIXED, 9);
        List<Sequence> flood = add(scheduler, "medical", 50);
        scheduler.admit(0);
        List<Sequence> late = add(scheduler, "legal", 1);

        scheduler.finish(flood.get(0));
        assertThat(scheduler.admit(0)).isEqualTo(late);
    }

    @Test
    void longestWaitingIsOvertakenABoundedNumberOfTimes() {
        int slots = 2;
        Scheduler scheduler = scheduler(slots, LoraBatching.MIXED, 9);
        List<Sequence> busy = add(scheduler, "medical", 2);
        scheduler.admit(0);
        Sequence longest = add(scheduler, "medical", 1).get(0);
        Sequence running = busy.get(0);
        int overtaken = 0;
        while (true) {
            add(scheduler, overtaken % 2 == 0 ? "legal" : "finance", 1);
            scheduler.finish(running);
            running = scheduler.admit(0).get(0);
            if (running == longest) {
                break;
            }
            overtaken++;
        }
        assertThat(overtaken).isEqualTo(slots * Scheduler.PATIENCE_PER_SLOT);
    }

    @Test
    void adaptersOfABatchAreLimitedAndNobodyStarves() {
        Scheduler scheduler = scheduler(4, LoraBatching.MIXED, 2);
        Set<Sequence> waiting = new HashSet<>();
        for (int i = 0; i < 10; i++) {
            for (String stack : List.of("medical", "legal+formal", "finance", "", "formal:0.5")) {
                waiting.addAll(add(scheduler, stack, 1));
            }
        }
        for (int round = 0; !waiting.isEmpty(); round++) {
            assertThat(round).isLessThan(200);
            waiting.removeAll(scheduler.admit(0));
            assertThat(adapters(scheduler.running())).hasSizeLessThanOrEqualTo(2);
            assertThat(scheduler.running()).isNotEmpty();
            scheduler.finish(scheduler.running().get(0));
        }
    }

    @Test
    void promptsShareWhatDecodingLeavesOfABatch() {
        Scheduler scheduler = scheduler(3, LoraBatching.MIXED, 9);
        DecodeBatch batch = new DecodeBatch(50);
        List<Sequence> added = add(scheduler, "medical", 3);
        start(scheduler);

        assertThat(scheduler.fill(scheduler.running(), batch)).containsExactly(added.get(0));
        assertThat(batch.rows()).isEqualTo(50);
        assertThat(added.get(0).outputRow()).isEqualTo(39);
        assertThat(added.get(1).computedTokens()).isEqualTo(10);

        added.get(0).confirm(0);
        added.get(0).append(300);
        assertThat(scheduler.fill(scheduler.running(), batch)).containsExactly(added.get(0), added.get(1));
        assertThat(batch.rows()).isEqualTo(1 + 30 + 19);
    }

    @Test
    void forcedTokensAreComputedInOneStepAndInSeveralWhereTheBatchIsFull() {
        Scheduler scheduler = scheduler(2, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "medical", 2);
        start(scheduler);
        scheduler.fill(scheduler.running(), new DecodeBatch(200));
        added.forEach(sequence -> sequence.confirm(0));
        added.get(0).append(300, 301, 302, 303);
        added.get(1).append(300, 301, 302);
        DecodeBatch small = new DecodeBatch(5);

        assertThat(scheduler.fill(scheduler.running(), small))
                .as("one token of the other has no row left to be computed with its last")
                .containsExactly(added.get(0));
        assertThat(small.rows()).isEqualTo(5);
        assertThat(added.get(0).outputRows()).isEqualTo(1);
        added.get(0).confirm(0);
        added.get(0).append(304);

        assertThat(scheduler.fill(scheduler.running(), small)).containsExactly(added.get(0), added.get(1));
        assertThat(small.rows()).isEqualTo(1 + 2);
    }

    @Test
    void everyRowFromAPositionOnIsAnOutputWhereThatIsWanted() {
        Scheduler scheduler = scheduler(1, LoraBatching.MIXED, 9);
        Sequence sequence = add(scheduler, "medical", 1).get(0);
        sequence.wantOutputFrom(39);
        sequence.append(300, 301);
        start(scheduler);

        assertThat(scheduler.fill(scheduler.running(), new DecodeBatch(41))).containsExactly(sequence);
        assertThat(sequence.outputRows()).isEqualTo(2);
        assertThat(sequence.outputRow()).isEqualTo(40);
        assertThat(scheduler.fill(scheduler.running(), new DecodeBatch(41))).containsExactly(sequence);
        assertThat(sequence.outputRows()).isEqualTo(1);

        sequence.goBackTo(40, 40);
        sequence.wantOutputFrom(40);
        sequence.append(305, 306);
        assertThat(scheduler.fill(scheduler.running(), new DecodeBatch(41))).containsExactly(sequence);
        assertThat(sequence.outputRows()).isEqualTo(2);
        assertThat(sequence.computedTokens()).isEqualTo(42);
    }

    @Test
    void outputsAreNoMoreThanTheContextHasRoomFor() {
        Scheduler scheduler = scheduler(3, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "medical", 3);
        added.forEach(sequence -> {
            sequence.wantOutputFrom(39);
            sequence.append(300, 301, 302, 303);
        });
        start(scheduler);
        DecodeBatch batch = new DecodeBatch(200);
        batch.limitOutputs(5);
        int outputs = 0;
        for (int step = 0; step < 4; step++) {
            scheduler.fill(scheduler.running(), batch);
            int ofStep = added.stream().mapToInt(Sequence::outputRows).sum();
            assertThat(ofStep).isLessThanOrEqualTo(5);
            outputs += ofStep;
        }
        assertThat(outputs).isEqualTo(3 * 5);
    }

    @Test
    void groupedStepsKeepStacksApart() {
        Scheduler scheduler = scheduler(4, LoraBatching.GROUPED, 9);
        List<Sequence> medical = add(scheduler, "medical", 2);
        List<Sequence> legal = add(scheduler, "legal", 2);
        start(scheduler);

        assertThat(scheduler.groups()).containsExactlyInAnyOrder(medical, legal);
    }

    @Test
    void longPrefixDecidesTheSlotAndAShortOneDoesNot() {
        Scheduler scheduler = scheduler(3, LoraBatching.MIXED, 9);
        List<Sequence> first = add(scheduler, "medical", 3);
        start(scheduler);
        scheduler.fill(scheduler.running(), new DecodeBatch(200));
        Sequence second = first.get(1);
        second.confirm(0);
        second.append(300);
        scheduler.finish(second);
        scheduler.finish(first.get(2));

        Sequence alike = add(scheduler, "medical", 1).get(0);
        scheduler.admit(0);
        Sequence other = add(scheduler, "legal", 1).get(0);
        scheduler.admit(0);

        assertThat(alike.slot()).isSameAs(second.slot());
        assertThat(reusable(scheduler, alike)).isEqualTo(39);
        assertThat(reusable(scheduler, other)).isZero();
    }

    @Test
    void promptThatGaveNoTokenIsNoPrefixForAnother() {
        Scheduler scheduler = scheduler(1, LoraBatching.MIXED, 9);
        Sequence gaveUp = add(scheduler, "medical", 1).get(0);
        start(scheduler);
        scheduler.fill(scheduler.running(), new DecodeBatch(39));
        scheduler.removeRunning(sequence -> sequence == gaveUp);

        Sequence alike = add(scheduler, "medical", 1).get(0);
        scheduler.admit(0);

        assertThat(alike.slot()).isSameAs(gaveUp.slot());
        assertThat(reusable(scheduler, alike)).isZero();
    }

    @Test
    void removedSequencesFreeTheirSlots() {
        Scheduler scheduler = scheduler(2, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "", 4);
        scheduler.admit(0);

        assertThat(scheduler.remove(sequence -> sequence == added.get(0) || sequence == added.get(2)))
                .containsExactlyInAnyOrder(added.get(0), added.get(2));
        assertThat(scheduler.admit(0)).containsExactly(added.get(3));
        assertThat(scheduler.remove(sequence -> true)).hasSize(2);
        assertThat(scheduler.hasWork()).isFalse();
    }
}
