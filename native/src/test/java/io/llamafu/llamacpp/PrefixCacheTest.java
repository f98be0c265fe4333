package io.llamafu.llamacpp;

import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.llamacpp.PrefixCache.Prefix;
import io.llamafu.llamacpp.PrefixCache.Sharing;
import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Which prompts share which cells. Plain bookkeeping, so no model and no native library is needed. */
class PrefixCacheTest {
    private static final int CAPACITY = 400;
    private static final AppliedAdapter MEDICAL = new AppliedAdapter("medical", 1, "digest");
    private static final AppliedAdapter REPUBLISHED = new AppliedAdapter("medical", 1, "another digest");
    private static final AppliedAdapter LEGAL = new AppliedAdapter("legal", 1, "third digest");
    private static final List<Integer> INVOCATION = List.of(7, 8);

    private long clock;

    private static Scheduler scheduler(int slots) {
        return new Scheduler(slots, CAPACITY, LoraBatching.MIXED, 9, Sharing.PARKED);
    }

    /** {@code common} tokens that all of a topic have, then its own ones. */
    private Sequence sequence(int topic, int common, int own, AppliedAdapter... adapters) {
        int[] prompt = IntStream.range(0, common + own)
                .map(i -> i < common ? 100 + topic : 1000 + (int) clock)
                .toArray();
        return new Sequence(prompt, AdapterSpans.of(List.of(adapters)), 20, clock++);
    }

    private static void admit(Scheduler scheduler, Sequence... sequences) {
        for (Sequence sequence : sequences) {
            scheduler.add(sequence);
        }
        scheduler.admit(0);
    }

    /** As the decode loop does, without cells. Returns the tokens that were not prefilled. */
    private static int start(Scheduler scheduler, Sequence sequence) {
        Slot slot = sequence.slot();
        Prefix prefix = scheduler.prefixes().longest(sequence);
        scheduler.prefixes().park(slot, prefix).ifPresent(parked -> parked.holder()
                .park(parked));
        slot.makeRoom(prefix.tokens());
        scheduler.prefixes().use(prefix);
        sequence.startAfter(prefix.tokens());
        return prefix.tokens();
    }

    /** Prefills everything that is started, and samples a token for each. */
    private static void prefill(Scheduler scheduler) {
        for (List<Sequence> group : List.copyOf(scheduler.groups())) {
            scheduler.fill(group, new DecodeBatch(10_000)).forEach(sequence -> {
                sequence.confirm(0);
                sequence.append(5);
            });
        }
    }

    private static int answer(Scheduler scheduler, Sequence sequence) {
        admit(scheduler, sequence);
        int cached = start(scheduler, sequence);
        while (sequence.decodeSteps() == 0) {
            prefill(scheduler);
        }
        scheduler.finish(sequence);
        return cached;
    }

    @Test
    void oneComputesWhatTheOthersWaitForAndCopy() {
        Scheduler scheduler = scheduler(4);
        Sequence first = sequence(1, 100, 20, MEDICAL);
        Sequence second = sequence(1, 100, 20, MEDICAL);
        Sequence otherAdapter = sequence(1, 100, 20, LEGAL);
        Sequence third = sequence(1, 100, 20, MEDICAL);
        admit(scheduler, first, second, otherAdapter, third);

        assertThat(scheduler.unstarted())
                .filteredOn(scheduler::mayStart)
                .containsExactlyInAnyOrder(first, otherAdapter);
        start(scheduler, first);
        start(scheduler, otherAdapter);
        assertThat(scheduler.groups().iterator().next()).containsExactlyInAnyOrder(first, otherAdapter);
        prefill(scheduler);

        assertThat(scheduler.unstarted()).hasSize(2).allMatch(scheduler::mayStart);
        assertThat(start(scheduler, second)).isEqualTo(100);
        assertThat(start(scheduler, third)).isEqualTo(100);
        assertThat(third.slot().soundTokens(100)).isEqualTo(Arrays.copyOf(third.prompt(), 100));
    }

    @Test
    void waitEndsWithTheOneThatIsWaitedFor() {
        Scheduler scheduler = scheduler(3);
        Sequence first = sequence(1, 100, 20);
        Sequence second = sequence(1, 100, 20);
        Sequence third = sequence(1, 100, 20);
        admit(scheduler, first, second, third);
        start(scheduler, first);
        assertThat(scheduler.mayStart(second)).isFalse();
        assertThat(scheduler.mayStart(third)).isFalse();

        scheduler.remove(sequence -> sequence == first);

        assertThat(scheduler.mayStart(second)).isTrue();
        assertThat(scheduler.mayStart(third)).as("it waits for the second now").isFalse();
        assertThat(start(scheduler, second))
                .as("cells that no token was sampled from")
                .isZero();
        prefill(scheduler);
        assertThat(scheduler.mayStart(third)).isTrue();
    }

    @Test
    void whatAllPromptsBeginWithIsNotWorthWaitingFor() {
        Scheduler scheduler = scheduler(2);
        Sequence first = sequence(1, PrefixCache.SHORTEST - 1, 20);
        Sequence second = sequence(1, PrefixCache.SHORTEST - 1, 20);
        admit(scheduler, first, second);

        assertThat(scheduler.mayStart(second)).isTrue();
    }

    @Test
    void moreStacksThanSlotsKeepTheirInstructions() {
        Scheduler scheduler = scheduler(2);
        int topics = 6;
        for (int round = 0; round < 3; round++) {
            for (int topic = 0; topic < topics; topic++) {
                assertThat(answer(scheduler, sequence(topic, 60, 10, MEDICAL)))
                        .as("round %d, topic %d", round, topic)
                        .isEqualTo(round == 0 ? 0 : 60);
            }
        }
    }

    @Test
    void leastRecentlyUsedPrefixGivesWay() {
        Scheduler scheduler = scheduler(1);
        for (int topic = 0; topic < 3; topic++) {
            answer(scheduler, sequence(topic, 100, 10));
        }
        assertThat(answer(scheduler, sequence(0, 100, 10))).isEqualTo(100);
        answer(scheduler, sequence(3, 100, 10));
        answer(scheduler, sequence(4, 100, 10));

        assertThat(answer(scheduler, sequence(0, 100, 10))).isEqualTo(100);
        assertThat(answer(scheduler, sequence(1, 100, 10))).isZero();
    }

    @Test
    void sequenceThatGrowsTakesTheCellsOfParkedPrefixes() {
        Scheduler scheduler = scheduler(1);
        answer(scheduler, sequence(1, 100, 10));
        answer(scheduler, sequence(2, 100, 10));
        Sequence large = sequence(3, 350, 10);
        admit(scheduler, large);
        assertThat(start(scheduler, large)).isZero();
        prefill(scheduler);
        prefill(scheduler);

        assertThat(large.slot().parked()).isEmpty();
        assertThat(large.slot().length()).isEqualTo(361);
    }

    @Test
    void parkedPrefixesNeverOverlap() {
        Scheduler scheduler = scheduler(2);
        for (int i = 0; i < 500; i++) {
            answer(scheduler, sequence(i % 7, 33 + i * 13 % 90, 1 + i % 50));
            for (Slot slot : scheduler.prefixes().slots()) {
                int end = CAPACITY;
                for (ParkedPrefix prefix : slot.parked()) {
                    assertThat(prefix.firstCell() + prefix.length()).isLessThanOrEqualTo(end);
                    end = prefix.firstCell();
                }
                assertThat(end).isGreaterThanOrEqualTo(slot.length());
            }
        }
    }

    @Test
    void republishedAdapterIsAnotherKey() {
        Scheduler scheduler = scheduler(1);
        answer(scheduler, sequence(1, 100, 10, MEDICAL));

        assertThat(answer(scheduler, sequence(1, 100, 10, REPUBLISHED))).isZero();
        assertThat(answer(scheduler, sequence(1, 100, 10, MEDICAL))).isEqualTo(100);
    }

    private Sequence activated(int common, AppliedAdapter... adapters) {
        int[] prompt = sequence(1, common, 20).prompt();
        prompt[common + 10] = INVOCATION.get(0);
        prompt[common + 11] = INVOCATION.get(1);
        List<List<Integer>> invocations = IntStream.range(0, adapters.length)
                .mapToObj(i -> adapters[i].equals(LEGAL) ? List.<Integer>of() : INVOCATION)
                .toList();
        return new Sequence(prompt, AdapterSpans.of(List.of(adapters), invocations, prompt), 20, clock++);
    }

    @Test
    void whatPrecedesAnInvocationIsSharedByTheBaseAndAllActivatedAdapters() {
        Scheduler scheduler = scheduler(1);
        answer(scheduler, activated(100, MEDICAL));

        assertThat(answer(scheduler, activated(100, REPUBLISHED))).isEqualTo(100);
        assertThat(answer(scheduler, sequence(1, 100, 10))).isEqualTo(100);
        assertThat(answer(scheduler, activated(100, LEGAL, MEDICAL)))
                .as("an ordinary adapter changes the beginning")
                .isZero();
        assertThat(answer(scheduler, activated(100, LEGAL, REPUBLISHED))).isEqualTo(100);
    }

    @Test
    void activatedAdapterBeginsAtItsLastInvocation() {
        int[] prompt = {1, 7, 8, 3, 7, 7, 8, 4, 8};
        AdapterSpans spans = AdapterSpans.of(List.of(LEGAL, MEDICAL), List.of(List.of(), INVOCATION), prompt);

        assertThat(spans.nextStart(0)).isEqualTo(5);
        assertThat(spans.at(4)).containsExactly(LEGAL);
        assertThat(spans.at(5)).containsExactly(LEGAL, MEDICAL);
        assertThat(spans.applied()).containsExactly(LEGAL, MEDICAL);
    }

    @Test
    void activatedAdapterWithoutInvocationDoesNotApply() {
        int[] prompt = {1, 7, 3, 8};
        AdapterSpans spans = AdapterSpans.of(List.of(MEDICAL), List.of(INVOCATION), prompt);

        assertThat(spans.applied()).isEmpty();
        assertThat(spans.agreement(AdapterSpans.of(List.of()))).isEqualTo(AdapterSpans.NEVER);
    }
}
