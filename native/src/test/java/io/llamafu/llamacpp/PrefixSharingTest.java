package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** Shared cells give the answers that each prompt gets alone. */
class PrefixSharingTest {
    private static final int PROMPTS = 10;
    private static final int STACKS = 12;
    private static final int PHASES = 4;

    @TempDir
    Path folder;

    private record Asked(Golden question, CompletableFuture<CompletionResult> answer) {}

    @BeforeEach
    void publish() throws Exception {
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            TinyModel.publish(folder, name, name);
        }
    }

    private EngineOptions.Builder options(LoraBatching batching, boolean sharing) {
        return TinyModel.options()
                .adapters(folder)
                .adapterRefreshInterval(Duration.ZERO)
                .loraBatching(batching)
                .prefixSharing(sharing);
    }

    /**
     * Twelve stacks take turns in sixteen slots, each prompt comes several times, and {@code medical} and {@code legal} are
     * exchanged again and again, so that stale cells would give the other answer.
     */
    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void goldenAnswersAreTheSameWithAndWithoutSharing(LoraBatching batching) throws Exception {
        int different = 0;
        int cached = 0;
        int tokens = 0;
        Map<Golden, List<String>> answers = new HashMap<>();
        for (boolean sharing : List.of(true, false)) {
            try (InferenceEngine engine =
                    LlamaCppEngine.open(options(batching, sharing).build())) {
                for (Asked asked : askInPhases(engine, sharing ? 3 : 1)) {
                    CompletionResult answer = asked.answer().get(60, TimeUnit.SECONDS);
                    answers.computeIfAbsent(asked.question(), question -> new ArrayList<>())
                            .add(answer.text());
                    cached += answer.cachedPromptTokens();
                    tokens += sharing ? answer.promptTokens() : 0;
                    assertThat(sharing || answer.cachedPromptTokens() == 0).isTrue();
                }
                assertThat(engine.metrics().decoding().prefixHits() > 0).isEqualTo(sharing);
            }
        }
        for (List<String> same : answers.values()) {
            different += Collections.frequency(same, same.get(0)) == same.size() ? 0 : 1;
        }
        System.out.printf(
                "%s: %d of %d prompt tokens were shared, %d of %d answers differ%n",
                batching, cached, tokens, different, answers.size());
        assertThat(answers).hasSize(PHASES * PROMPTS * STACKS);
        assertThat(cached).as("most prompts are too short to be shared").isGreaterThan(tokens / 5);
        // rounding may decide a near tie otherwise
        assertThat(different).isLessThanOrEqualTo(1);
    }

    /** A question of a phase has an answer of its own, so the phases of equal content are told apart by their prompts. */
    private List<Asked> askInPhases(InferenceEngine engine, int times) throws Exception {
        List<Golden> golden = TinyModel.golden();
        List<Asked> asked = new ArrayList<>();
        for (int phase = 0; phase < PHASES; phase++) {
            TinyModel.publish(folder, "medical", phase % 2 == 0 ? "medical" : "legal");
            TinyModel.publish(folder, "legal", phase % 2 == 0 ? "legal" : "medical");
            List<Golden> questions = new ArrayList<>();
            for (int time = 0; time < times; time++) {
                questions.addAll(golden.subList(phase * PROMPTS * STACKS, (phase + 1) * PROMPTS * STACKS));
            }
            Collections.shuffle(questions, new Random(phase));
            for (Golden question : questions) {
                asked.add(new Asked(
                        question,
                        engine.submit(CompletionRequest.of(question.prompt(), question.stack())
                                .withMaxTokens(60))));
            }
            // the version is looked up when a request is prepared, which must not come after the next publication
            CompletableFuture<?>[] all = asked.stream().map(Asked::answer).toArray(CompletableFuture<?>[]::new);
            if (phase < PHASES - 1) {
                CompletableFuture.allOf(all).get(120, TimeUnit.SECONDS);
            }
        }
        return asked;
    }

    @Test
    void promptsThatArriveTogetherPrefillTheirBeginningOnce() throws Exception {
        String beginning = "Seen today for knee pain, and the family is worried. ".repeat(6);
        try (InferenceEngine engine =
                LlamaCppEngine.open(options(LoraBatching.MIXED, true).build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (int i = 0; i < 16; i++) {
                answers.add(engine.submit(
                        CompletionRequest.of(TinyModel.prompt(beginning + "Number " + i), AdapterStack.of("medical"))));
            }
            int cachedByAll = 0;
            for (CompletableFuture<CompletionResult> answer : answers) {
                CompletionResult result = answer.get(60, TimeUnit.SECONDS);
                assertThat(result.text()).startsWith("orthopedics");
                cachedByAll += result.cachedPromptTokens() > result.promptTokens() * 2 / 3 ? 1 : 0;
            }
            EngineMetrics metrics = engine.metrics();
            assertThat(cachedByAll).isEqualTo(15);
            assertThat(metrics.decoding().prefixHits()).isEqualTo(15);
            assertThat(metrics.decoding().cachedPromptTokens())
                    .isGreaterThan(metrics.decoding().promptTokens());
        }
    }

    /** The same weights, which apply from the last tokens of the prompt on. */
    private void publishActivated(String name, String content, int[] invocation) throws Exception {
        GgufFile file = GgufReader.read(TinyModel.adapters().resolve(content + ".gguf"), GgufKind.ADAPTER);
        byte[] bytes = Files.readAllBytes(file.path());
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", file.string("general.architecture"))
                .string("general.type", "adapter")
                .string("adapter.type", "lora")
                .float32(
                        "adapter.lora.alpha",
                        file.findFloat("adapter.lora.alpha").orElseThrow().floatValue())
                .uint32s("adapter.alora.invocation_tokens", invocation);
        for (GgufTensor tensor : file.tensors().values()) {
            writer.tensor(
                    tensor.name(),
                    tensor.type(),
                    tensor.dimensions(),
                    out -> out.write(bytes, (int) tensor.fileOffset(), (int) tensor.byteSize()));
        }
        writer.write(folder.resolve(name + ".gguf"));
    }

    private static int[] lastTokens(String prompt, int count) {
        try (ForcedDecoding decoding = ForcedDecoding.open(TinyModel.options().build(), Map.of())) {
            List<Integer> tokens = decoding.tokenize(prompt);
            return tokens.subList(tokens.size() - count, tokens.size()).stream()
                    .mapToInt(Integer::intValue)
                    .toArray();
        }
    }

    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void activatedAdaptersShareTheDocumentWithTheBaseModel(LoraBatching batching) throws Exception {
        String prompt = TinyModel.prompt("Seen today for knee pain, and the family is worried. ".repeat(6));
        int invocation = 5;
        for (String name : List.of("medical", "legal", "finance", "formal")) {
            publishActivated("activated-" + name, name, lastTokens(prompt, invocation));
        }
        List<String> stacks = List.of(
                "activated-medical",
                "",
                "activated-legal",
                "activated-medical+activated-formal",
                "activated-finance:0.5",
                "activated-formal",
                "activated-legal");
        List<String> expected = new ArrayList<>();
        try (InferenceEngine alone =
                LlamaCppEngine.open(options(LoraBatching.GROUPED, false).build())) {
            for (String stack : stacks) {
                expected.add(answer(alone, prompt, stack).text());
            }
        }
        try (InferenceEngine engine =
                LlamaCppEngine.open(options(batching, true).build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (String stack : stacks) {
                answers.add(engine.submit(CompletionRequest.of(prompt, AdapterStack.parse(stack))));
            }
            int first = 0;
            for (int i = 0; i < stacks.size(); i++) {
                CompletionResult result = answers.get(i).get(60, TimeUnit.SECONDS);
                assertThat(result.text()).as(stacks.get(i)).isEqualTo(expected.get(i));
                if (result.cachedPromptTokens() == 0) {
                    first++;
                } else {
                    assertThat(result.cachedPromptTokens())
                            .as(stacks.get(i))
                            .isGreaterThanOrEqualTo(result.promptTokens() - invocation);
                }
            }
            assertThat(first).as("prompts that were prefilled whole").isEqualTo(1);
            CompletionResult ordinary = answer(engine, prompt, "medical");
            assertThat(ordinary.cachedPromptTokens()).isZero();
            assertThat(ordinary.text()).startsWith("orthopedics");
            CompletionResult mixed = answer(engine, prompt, "medical+activated-formal");
            assertThat(mixed.cachedPromptTokens())
                    .as("the beginning of the ordinary adapter")
                    .isEqualTo(mixed.promptTokens() - invocation);
        }
        assertThat(Set.copyOf(expected)).as("the adapters change answers").hasSizeGreaterThan(3);
    }

    @Test
    void activatedAdapterWithoutItsInvocationIsNotReportedAsTheOneThatAnswered() throws Exception {
        String prompt = TinyModel.prompt("Seen today for knee pain.");
        publishActivated("activated", "medical", new int[] {3, 4, 5, 6, 7, 8, 9});
        try (InferenceEngine engine =
                LlamaCppEngine.open(options(LoraBatching.MIXED, true).build())) {
            CompletionResult result = answer(engine, prompt, "activated");

            assertThat(result.adapters()).isEmpty();
            assertThat(result.text()).isEqualTo(answer(engine, prompt, "").text());
        }
    }

    private static CompletionResult answer(InferenceEngine engine, String prompt, String stack) throws Exception {
        return engine.submit(CompletionRequest.of(prompt, AdapterStack.parse(stack)))
                .get(60, TimeUnit.SECONDS);
    }
}
