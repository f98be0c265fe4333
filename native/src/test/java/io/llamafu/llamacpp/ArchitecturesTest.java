package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.docs.ModelsGuide;
import io.llamafu.docs.ModelsGuide.Column;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.support.MemoryBudget;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.ArchitectureModel.Kind;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Models of every family of architectures: their memory is predicted, they answer, and those that cannot answer are
 * rejected.
 */
class ArchitecturesTest {
    private static final String DECODERS = "io.llamafu.testing.ArchitectureModel#decoders";
    private static final String LONG = "All of these words are to be read before the answer. ".repeat(6);

    @TempDir
    Path folder;

    @ParameterizedTest
    @MethodSource(DECODERS)
    void memoryIsForetoldToFivePercent(ArchitectureModel architecture) throws Exception {
        EngineOptions options =
                RandomAnswers.options(architecture.write(folder)).build();

        EngineMetrics.Memory foretold = LlamaModel.memoryNeeded(options, RandomAnswers.CONTEXT);
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            EngineMetrics.Memory allocated = engine.metrics().memory();

            System.out.printf("%s: foretold %s, allocated %s%n", architecture, foretold, allocated);
            assertThat(foretold.model()).isCloseTo(allocated.model(), Percentage.withPercentage(5));
            assertThat(foretold.context()).isCloseTo(allocated.context(), Percentage.withPercentage(5));
            assertThat(foretold.total()).isCloseTo(allocated.total(), Percentage.withPercentage(5));
            long ofTheFile = MemoryBudget.keyValueBytes(options, ModelFile.read(options.model()));
            if (architecture.kind() == Kind.WINDOW) {
                assertThat(ofTheFile).as("the most it can be").isGreaterThan(allocated.context());
            } else {
                assertThat(ofTheFile).isCloseTo(allocated.context(), Percentage.withPercentage(5));
            }
        }
        ModelsGuide.assertSays(architecture, Column.MEMORY, "within 5 %");
    }

    @ParameterizedTest
    @MethodSource(DECODERS)
    void budgetIsHeldAgainstWhatTheArchitectureNeeds(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        long needed;
        try (InferenceEngine engine =
                LlamaCppEngine.open(RandomAnswers.options(model).build())) {
            needed = engine.metrics().memory().total();
        }

        LlamaCppEngine.open(RandomAnswers.options(model)
                        .memoryBudget(needed + needed / 20)
                        .build())
                .close();
        assertFails(
                () -> LlamaCppEngine.open(RandomAnswers.options(model)
                        .memoryBudget(needed - needed / 20)
                        .build()),
                ErrorCode.OUT_OF_MEMORY,
                "it would need");
    }

    @ParameterizedTest
    @MethodSource(DECODERS)
    void answersAloneTogetherAndInASlotThatWasUsedBefore(ArchitectureModel architecture) throws Exception {
        String prompt = LONG.substring(0, 40);
        try (InferenceEngine engine = LlamaCppEngine.open(
                RandomAnswers.options(architecture.write(folder)).build())) {
            String first = RandomAnswers.ask(engine, prompt, "", 8).text();
            assertThat(first).hasSize(8);
            assertThat(RandomAnswers.ask(engine, LONG, "", 8).text()).hasSize(8);
            assertThat(RandomAnswers.ask(engine, prompt, "", 8).text())
                    .as("alone again")
                    .isEqualTo(first);

            List<CompletableFuture<CompletionResult>> others = new ArrayList<>();
            for (int i = 0; i < 3 * RandomAnswers.SEQUENCES; i++) {
                others.add(RandomAnswers.submit(engine, i + " " + LONG, "", 8));
            }
            CompletableFuture<CompletionResult> again = RandomAnswers.submit(engine, prompt, "", 8);

            for (CompletableFuture<CompletionResult> other : others) {
                assertThat(RandomAnswers.get(other).generatedTokens()).isEqualTo(8);
            }
            assertThat(RandomAnswers.get(again).text()).as("beside others").isEqualTo(first);
        }
        ModelsGuide.assertSays(architecture, Column.LOADS, "yes");
    }

    /**
     * Prompts shorter and longer than a batch, a window and the cells of layers with a window. Rounding differs with the
     * portions, and may change the answer of one of them.
     */
    @ParameterizedTest
    @MethodSource(DECODERS)
    void answersDoNotDependOnThePortionsOfThePrefill(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        List<String> ofSmall = new ArrayList<>();
        List<String> ofLarge = new ArrayList<>();
        try (InferenceEngine small = LlamaCppEngine.open(
                        RandomAnswers.options(model).batchSize(24).build());
                InferenceEngine large = LlamaCppEngine.open(RandomAnswers.options(model)
                        .batchSize(RandomAnswers.CONTEXT)
                        .build())) {
            for (int length : new int[] {1, 17, 18, 19, 60, 130, 300, 400}) {
                String prompt = LONG.repeat(2).substring(0, length);
                ofSmall.add(RandomAnswers.ask(small, prompt, "", 4).text());
                ofLarge.add(RandomAnswers.ask(large, prompt, "", 4).text());
            }
        }
        long different = IntStream.range(0, ofLarge.size())
                .filter(i -> !ofSmall.get(i).equals(ofLarge.get(i)))
                .count();
        assertThat(different)
                .as("different answers of %s and %s", ofSmall, ofLarge)
                .isLessThanOrEqualTo(1);
        assertThat(ofLarge).allSatisfy(answer -> assertThat(answer).hasSize(4));
    }

    /**
     * The same answers as without a prefix cache, which has what the model still keeps of the tokens that two prompts
     * share. Layers with a window have 256 cells here, so they lose the beginning of the long prompts. Rounding may change
     * the answer of one of two texts.
     */
    @ParameterizedTest
    @MethodSource(DECODERS)
    void sharedBeginningsAreReusedWhereTheModelKeepsThem(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        List<Boolean> reused =
                switch (architecture.kind()) {
                    case ATTENTION -> List.of(false, true, true, true, true);
                    case WINDOW -> List.of(false, true, false, false, true);
                    case RECURRENT, ENCODER -> List.of(false, false, false, false, false);
                };
        boolean[] same = new boolean[reused.size()];
        try (InferenceEngine engine =
                        LlamaCppEngine.open(RandomAnswers.options(model).build());
                InferenceEngine forgetful = LlamaCppEngine.open(
                        RandomAnswers.options(model).prefixSharing(false).build())) {
            for (String title : List.of("Once", "Two")) {
                List<String> prompts = prompts(title);
                for (int i = 0; i < prompts.size(); i++) {
                    CompletionResult answer = RandomAnswers.ask(engine, prompts.get(i), "", 4);
                    assertThat(answer.cachedPromptTokens() >= 100)
                            .as("%d of %d tokens of prompt %d", answer.cachedPromptTokens(), answer.promptTokens(), i)
                            .isEqualTo(reused.get(i));
                    if (architecture.kind() == Kind.RECURRENT) {
                        assertThat(answer.cachedPromptTokens()).isZero();
                    }

                    CompletionResult expected = RandomAnswers.ask(forgetful, prompts.get(i), "", 4);
                    assertThat(expected.cachedPromptTokens()).isZero();
                    same[i] |= answer.text().equals(expected.text());
                }
            }
        }
        assertThat(same).containsOnly(true);
        ModelsGuide.assertSays(
                architecture,
                Column.PREFIX_CACHE,
                switch (architecture.kind()) {
                    case ATTENTION -> "yes";
                    case WINDOW -> "in the window";
                    case RECURRENT, ENCODER -> "no";
                });
    }

    /**
     * Prompts that arrive together: the first prefills what all have, and the others get a copy, if the model has no states.
     * Rounding differs with the rows of a batch, so an answer may be any that the model gives without sharing.
     */
    @ParameterizedTest
    @MethodSource(DECODERS)
    void sharedBeginningsAreCopiedToOtherSlots(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        Set<String> possible = new HashSet<>();
        try (InferenceEngine forgetful = LlamaCppEngine.open(
                RandomAnswers.options(model).prefixSharing(false).build())) {
            for (CompletableFuture<CompletionResult> answer : askTogether(forgetful)) {
                possible.add(RandomAnswers.get(answer).text());
            }
            possible.add(RandomAnswers.ask(forgetful, ofMany(0), "", 4).text());
        }
        try (InferenceEngine engine =
                LlamaCppEngine.open(RandomAnswers.options(model).build())) {
            int different = 0;
            int copied = 0;
            for (CompletableFuture<CompletionResult> asked : askTogether(engine)) {
                CompletionResult answer = RandomAnswers.get(asked);
                copied += answer.cachedPromptTokens() >= 100 ? 1 : 0;
                different += possible.contains(answer.text()) ? 0 : 1;
            }
            assertThat(copied).isEqualTo(architecture.kind() == Kind.RECURRENT ? 0 : 8);
            assertThat(different).isLessThanOrEqualTo(1);
        }
    }

    private static List<CompletableFuture<CompletionResult>> askTogether(InferenceEngine engine) {
        return IntStream.range(0, 9)
                .mapToObj(i -> RandomAnswers.submit(engine, ofMany(i), "", 4))
                .toList();
    }

    /** One of three prompts that begin alike. */
    private static String ofMany(int i) {
        return LONG.substring(0, 150) + i % 3 + "?";
    }

    private static List<String> prompts(String title) {
        String beginning = title + LONG.substring(0, 100);
        String rest = "And what follows is much longer than a window. ".repeat(7);
        return List.of(
                beginning + rest,
                beginning + rest + "To be continued.",
                beginning + rest.toUpperCase(Locale.ROOT),
                beginning,
                beginning + "Something else.");
    }

    @Test
    void whatLlamaCppAssertsWhileItLoadsIsACodedError() throws Exception {
        Path model = folder.resolve("shifted.gguf");
        ArchitectureModel.RWKV7.writer().uint32("rwkv7.token_shift_count", 1).write(model);

        assertFails(
                () -> LlamaCppEngine.open(RandomAnswers.options(model).build()),
                ErrorCode.MODEL_LOAD_FAILED,
                "GGML_ASSERT(hparams.token_shift_count == 2)");
    }

    /** llama.cpp would read and write beyond them, without an assertion. */
    @Test
    void headsThatTheKernelOfRwkv7WritesBeyondAreRefused() throws Exception {
        Path model = ArchitectureModel.RWKV7.write(folder);
        byte[] bytes = Files.readAllBytes(model);
        String key = "rwkv7.wkv.head_size";
        int at = new String(bytes, ISO_8859_1).indexOf(key) + key.length() + Integer.BYTES;
        bytes[at] = 32;
        Files.write(model, bytes);

        assertThatThrownBy(() -> ModelFile.read(model))
                .hasMessageContaining("in heads of 32, which 'rwkv7' cannot have");
    }

    @ParameterizedTest
    @EnumSource
    void encodersAreRefusedBeforeTheyAreLoaded(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        if (architecture.kind() != Kind.ENCODER) {
            assertThat(ModelFile.read(model).architecture()).isEqualTo(architecture.architecture());
            return;
        }
        assertFails(() -> ModelFile.read(model), ErrorCode.MODEL_INVALID, "choose a decoder-only model");
        ModelsGuide.assertSays(architecture, Column.LOADS, "`MODEL_INVALID`");
    }
}
