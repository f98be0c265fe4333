package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.testing.Await;
import io.llamafu.testing.Catalogs;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * The adapter {@code swapped} is published again and again, alternately with the content of {@code medical} and {@code
 * legal}, while 16 sequences are answered under it and others, and adapters are preloaded, unloaded and cleared.
 */
class HotSwapTest {
    private static final int PUBLICATIONS = 50;
    private static final int SEQUENCES = 16;
    private static final List<String> CONTENTS = List.of("medical", "legal");
    private static final List<String> STACKS = List.of(
            "swapped", "swapped:0.5", "swapped+formal", "swapped", "medical", "finance+formal", "formal:0.5", "");
    private static final int PROMPTS = 25;
    private static final long ADAPTER_BYTES = 75_680;

    @TempDir
    Path folder;

    private final Random random = new Random(11);
    /** By prompt, then by the stack as written in the golden file. */
    private final Map<String, Map<String, String>> golden = new HashMap<>();

    private final Map<String, String> contentByDigest = new HashMap<>();
    private final Set<String> swappedDigests = new HashSet<>();
    private int answers;
    private int exact;
    private int cachedTokens;

    private record Asked(String prompt, CompletableFuture<CompletionResult> answer) {}

    @BeforeEach
    void prepare() throws Exception {
        chooseCertainPrompts();
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            Files.copy(TinyModel.adapters().resolve(name + ".gguf"), folder.resolve(name + ".gguf"));
            contentByDigest.put(Catalogs.resolve(folder, name).digest(), name);
        }
        publish(0);
    }

    /** Chooses prompts with the golden answer under every stack, so that no answer is a near tie. */
    private void chooseCertainPrompts() throws Exception {
        try (InferenceEngine engine = LlamaCppEngine.open(TinyModel.options().build())) {
            Map<Golden, CompletableFuture<CompletionResult>> answers = new LinkedHashMap<>();
            for (Golden one : TinyModel.golden().subList(0, 12 * 2 * PROMPTS)) {
                answers.put(one, engine.submit(CompletionRequest.of(one.prompt(), one.stack())));
            }
            Set<String> uncertain = new HashSet<>();
            for (Map.Entry<Golden, CompletableFuture<CompletionResult>> answer : answers.entrySet()) {
                Golden one = answer.getKey();
                golden.computeIfAbsent(one.prompt(), prompt -> new HashMap<>())
                        .put(one.stack().toString(), one.expected());
                if (!answer.getValue().get(60, TimeUnit.SECONDS).text().equals(one.expected())) {
                    uncertain.add(one.prompt());
                }
            }
            golden.keySet().removeAll(uncertain);
        }
        assertThat(golden).hasSizeGreaterThan(PROMPTS);
    }

    private void publish(int version) throws IOException {
        TinyModel.publish(folder, "swapped", CONTENTS.get(version % 2));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 3 * ADAPTER_BYTES})
    void everyAnswerIsThatOfTheVersionThatItReports(long budget) throws Exception {
        try (InferenceEngine engine = LlamaCppEngine.open(TinyModel.options()
                .adapters(folder)
                .adapterMemoryBudget(budget)
                .adapterRefreshInterval(Duration.ZERO)
                .parallelSequences(SEQUENCES)
                .build())) {
            Deque<Asked> open = new ArrayDeque<>();
            for (int version = 1; version <= PUBLICATIONS; version++) {
                publish(version);
                for (int i = 0; i < 2 * SEQUENCES; i++) {
                    manage(engine);
                    open.add(ask(engine));
                    if (open.size() > SEQUENCES + random.nextInt(SEQUENCES)) {
                        check(open.remove());
                    }
                }
            }
            while (!open.isEmpty()) {
                check(open.remove());
            }
            assertOldVersionsAreFreed(engine);
        }
        System.out.printf(
                "%d publications, adapter budget %d: %d of %d answers are exactly those of their digests%n",
                PUBLICATIONS, budget, exact, answers);
        assertThat(answers).isEqualTo(PUBLICATIONS * 2 * SEQUENCES);
        assertThat(exact).isGreaterThanOrEqualTo((int) (answers * 0.9966));
        assertThat(swappedDigests).hasSize(2);
        assertThat(cachedTokens).as("prompt tokens taken from prefix caches").isPositive();
    }

    private void manage(InferenceEngine engine) {
        switch (random.nextInt(12)) {
            case 0 ->
                assertThat(engine.preload(AdapterStack.parse("swapped+finance")))
                        .isNotNull();
            case 1 -> engine.unload("swapped");
            case 2 -> engine.unload("formal");
            case 3 -> engine.clear();
            default -> {
                // usually does nothing
            }
        }
    }

    private Asked ask(InferenceEngine engine) {
        String prompt = golden.keySet().stream()
                .sorted()
                .skip(random.nextInt(golden.size()))
                .findFirst()
                .orElseThrow();
        AdapterStack stack = AdapterStack.parse(STACKS.get(random.nextInt(STACKS.size())));
        return new Asked(
                prompt, engine.submit(CompletionRequest.of(prompt, stack).withMaxTokens(60)));
    }

    private void check(Asked asked) throws Exception {
        CompletionResult answer = asked.answer().get(60, TimeUnit.SECONDS);
        answers++;
        cachedTokens += answer.cachedPromptTokens();
        String reported = expected(asked.prompt(), answer.adapters(), Map.of());
        if (answer.text().equals(reported)) {
            exact++;
        } else {
            assertThat(answer.text())
                    .as("an answer may be inexact, but never that of the other version")
                    .isNotEqualTo(expected(
                            asked.prompt(), answer.adapters(), Map.of("medical", "legal", "legal", "medical")));
        }
        answer.adapters().stream()
                .filter(adapter -> adapter.name().equals("swapped"))
                .forEach(adapter -> swappedDigests.add(adapter.digest()));
    }

    /** The golden answer under adapters with these digests, with some contents replaced. */
    private String expected(String prompt, List<AppliedAdapter> adapters, Map<String, String> others) {
        AdapterStack stack = new AdapterStack(adapters.stream()
                .map(adapter -> {
                    String content = contentByDigest.get(adapter.digest());
                    String name = others.getOrDefault(content, content);
                    return adapter.scale() == 1
                            ? new AdapterStack.Entry(name)
                            : new AdapterStack.Entry(name, adapter.scale());
                })
                .toList());
        return golden.get(prompt).get(stack.toString());
    }

    private static void assertOldVersionsAreFreed(InferenceEngine engine) throws Exception {
        List<AppliedAdapter> current =
                engine.preload(AdapterStack.of("swapped")).get(60, TimeUnit.SECONDS);
        Await.until("one version in memory", () -> residentVersions(engine) == 1);
        assertThat(engine.adapters())
                .filteredOn(adapter -> adapter.name().equals("swapped"))
                .singleElement()
                .satisfies(adapter ->
                        assertThat(adapter.digest()).contains(current.get(0).digest()));
        assertThat(engine.metrics().adapters().loads()).isGreaterThan(10);
    }

    private static long residentVersions(InferenceEngine engine) {
        return engine.adapters().stream()
                .filter(LoadedAdapter::resident)
                .filter(adapter -> adapter.name().equals("swapped"))
                .count();
    }
}
