package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.ResolvedAdapter;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The scheduler's promises, with real samplers and adapters, and without a decode. */
class SchedulerTest {
    private static final int MAX_TOKENS = 512;

    private final List<Sequence> sequences = new ArrayList<>();
    private LlamaModel model;
    private AdapterCache cache;
    private long clock;

    @BeforeEach
    void load() {
        model = LlamaModel.load(TinyModel.options().build());
        cache = new AdapterCache(
                LocalAdapters.of(TinyModel.adapters()),
                Duration.ofSeconds(1),
                file -> LlamaAdapter.load(
                        model, file.path(), AdapterInfo.of(GgufReader.read(file.path(), GgufKind.ADAPTER)), () -> {}),
                (adapter, forgotten) -> forgotten.run(),
                () -> {},
                0);
    }

    @AfterEach
    void free() throws Exception {
        sequences.forEach(Sequence::dispose);
        cache.stop();
        cache.close();
        model.close();
    }

    private Sequence sequence(String stack, int promptTokens) throws Exception {
        int[] prompt = new int[promptTokens];
        for (int i = 0; i < promptTokens; i++) {
            prompt[i] = 300 + i % 500;
        }
        AdapterStack adapters = AdapterStack.parse(stack);
        Sequence sequence = new Sequence(
                CompletionRequest.of("a prompt", adapters),
                prompt,
                TokenSampler.create(model, SamplingOptions.greedy(), MAX_TOKENS),
                cache.lease(adapters, AdapterCache.Turn.NONE).get(10, TimeUnit.SECONDS),
                new CompletableFuture<>(),
                100,
                clock++);
        sequences.add(sequence);
        return sequence;
    }

    private List<Sequence> add(Scheduler scheduler, String stack, int count) throws Exception {
        List<Sequence> added = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Sequence sequence = sequence(stack, 40);
            scheduler.add(sequence);
            added.add(sequence);
        }
        return added;
    }

    private static Set<String> adapters(List<Sequence> running) {
        Set<String> names = new HashSet<>();
        for (Sequence sequence : running) {
            sequence.adapters().resolved().stream().map(ResolvedAdapter::name).forEach(names::add);
        }
        return names;
    }

    @Test
    void oneStackIsServedInTheOrderOfArrival() throws Exception {
        Scheduler scheduler = new Scheduler(3, MAX_TOKENS, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "medical", 5);

        assertThat(scheduler.admit(0)).isEqualTo(added.subList(0, 3));
        scheduler.finish(added.get(1));
        assertThat(scheduler.admit(0)).containsExactly(added.get(3));
    }

    @Test
    void floodOfOneStackDoesNotHoldUpAnother() throws Exception {
        Scheduler scheduler = new Scheduler(4, MAX_TOKENS, LoraBatching.MIXED, 9);
        List<Sequence> flood = add(scheduler, "medical", 50);
        scheduler.admit(0);
        List<Sequence> late = add(scheduler, "legal", 1);

        scheduler.finish(flood.get(0));
        assertThat(scheduler.admit(0)).isEqualTo(late);
    }

    @Test
    void longestWaitingIsOvertakenABoundedNumberOfTimes() throws Exception {
        int slots = 2;
        Scheduler scheduler = new Scheduler(slots, MAX_TOKENS, LoraBatching.MIXED, 9);
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
    void adaptersOfABatchAreLimitedAndNobodyStarves() throws Exception {
        Scheduler scheduler = new Scheduler(4, MAX_TOKENS, LoraBatching.MIXED, 2);
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
    void promptsShareWhatDecodingLeavesOfABatch() throws Exception {
        Scheduler scheduler = new Scheduler(3, MAX_TOKENS, LoraBatching.MIXED, 9);
        DecodeBatch batch = new DecodeBatch(50);
        SamplingRound round = new SamplingRound(3);
        List<Sequence> sampled = new ArrayList<>();
        List<Sequence> added = add(scheduler, "medical", 3);
        scheduler.admit(0).forEach(sequence -> sequence.startAfter(0));

        scheduler.fill(scheduler.running(), batch, round, sampled);
        assertThat(batch.rows()).isEqualTo(50);
        assertThat(sampled).containsExactly(added.get(0));
        assertThat(added.get(1).computedTokens()).isEqualTo(10);

        added.get(0).accept(300, model.vocabulary(), 0);
        scheduler.fill(scheduler.running(), batch, round, sampled);
        assertThat(batch.rows()).isEqualTo(1 + 30 + 19);
        assertThat(sampled).containsExactly(added.get(0), added.get(1));
    }

    @Test
    void groupedStepsKeepStacksApart() throws Exception {
        Scheduler scheduler = new Scheduler(4, MAX_TOKENS, LoraBatching.GROUPED, 9);
        List<Sequence> medical = add(scheduler, "medical", 2);
        List<Sequence> legal = add(scheduler, "legal", 2);
        scheduler.admit(0);

        assertThat(scheduler.groups()).containsExactlyInAnyOrder(medical, legal);
    }

    @Test
    void longPrefixDecidesTheSlotAndAShortOneDoesNot() throws Exception {
        Scheduler scheduler = new Scheduler(3, MAX_TOKENS, LoraBatching.MIXED, 9);
        List<Sequence> first = add(scheduler, "medical", 3);
        scheduler.admit(0).forEach(sequence -> sequence.startAfter(0));
        SamplingRound round = new SamplingRound(3);
        scheduler.fill(scheduler.running(), new DecodeBatch(200), round, new ArrayList<>());
        Sequence second = first.get(1);
        second.accept(300, model.vocabulary(), 0);
        scheduler.finish(second);
        scheduler.finish(first.get(2));

        Sequence alike = add(scheduler, "medical", 1).get(0);
        scheduler.admit(0);
        Sequence other = add(scheduler, "legal", 1).get(0);
        scheduler.admit(0);

        assertThat(alike.slot()).isSameAs(second.slot());
        assertThat(alike.reusableTokens()).isEqualTo(39);
        assertThat(other.reusableTokens()).isZero();
    }

    @Test
    void promptThatGaveNoTokenIsNoPrefixForAnother() throws Exception {
        Scheduler scheduler = new Scheduler(1, MAX_TOKENS, LoraBatching.MIXED, 9);
        Sequence gaveUp = add(scheduler, "medical", 1).get(0);
        scheduler.admit(0).forEach(sequence -> sequence.startAfter(0));
        scheduler.fill(scheduler.running(), new DecodeBatch(39), new SamplingRound(1), new ArrayList<>());
        scheduler.removeRunning(sequence -> sequence == gaveUp);

        Sequence alike = add(scheduler, "medical", 1).get(0);
        scheduler.admit(0);

        assertThat(alike.slot()).isSameAs(gaveUp.slot());
        assertThat(alike.reusableTokens()).isZero();
    }

    @Test
    void removedSequencesFreeTheirSlots() throws Exception {
        Scheduler scheduler = new Scheduler(2, MAX_TOKENS, LoraBatching.MIXED, 9);
        List<Sequence> added = add(scheduler, "", 4);
        scheduler.admit(0);

        assertThat(scheduler.remove(sequence -> sequence == added.get(0) || sequence == added.get(2)))
                .containsExactlyInAnyOrder(added.get(0), added.get(2));
        assertThat(scheduler.admit(0)).containsExactly(added.get(3));
        assertThat(scheduler.remove(sequence -> true)).hasSize(2);
        assertThat(scheduler.hasWork()).isFalse();
    }
}
