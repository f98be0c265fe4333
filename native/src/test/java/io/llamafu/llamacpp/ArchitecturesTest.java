package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.support.MemoryBudget;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.ArchitectureModel.Kind;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Models of every family of architectures: their memory is predicted, they answer, and those that cannot answer are
 * rejected.
 */
class ArchitecturesTest {
    private static final int SEQUENCES = 3;
    private static final int CONTEXT = 640;
    private static final String LONG = "All of these words are to be read before the answer. ".repeat(6);

    @TempDir
    Path folder;

    private EngineOptions.Builder options(Path model) {
        return EngineOptions.builder(model)
                .contextSize(CONTEXT)
                .parallelSequences(SEQUENCES)
                .batchSize(128)
                .threads(1);
    }

    @ParameterizedTest
    @EnumSource
    void memoryIsForetoldToFivePercent(ArchitectureModel architecture) throws Exception {
        if (architecture.kind() == Kind.ENCODER) {
            return;
        }
        EngineOptions options = options(architecture.write(folder)).build();

        EngineMetrics.Memory foretold = LlamaModel.memoryNeeded(options, CONTEXT);
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            EngineMetrics.Memory allocated = engine.metrics().memory();

            System.out.printf("%s: foretold %s, allocated %s%n", architecture, foretold, allocated);
            assertThat(foretold.model()).isCloseTo(allocated.model(), Percentage.withPercentage(5));
            assertThat(foretold.context()).isCloseTo(allocated.context(), Percentage.withPercentage(5));
            assertThat(foretold.total()).isCloseTo(allocated.total(), Percentage.withPercentage(5));
            long ofTheFile = MemoryBudget.keyValueBytes(options, ModelFile.read(options.model()));
            if (architecture.kind() == Kind.WINDOW) {
                assertThat(ofTheFile).as("the most it can be").isGreaterThanOrEqualTo(allocated.context());
            } else {
                assertThat(ofTheFile).isCloseTo(allocated.context(), Percentage.withPercentage(5));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void budgetIsHeldAgainstWhatTheArchitectureNeeds(ArchitectureModel architecture) throws Exception {
        if (architecture.kind() == Kind.ENCODER) {
            return;
        }
        Path model = architecture.write(folder);
        long needed;
        try (InferenceEngine engine = LlamaCppEngine.open(options(model).build())) {
            needed = engine.metrics().memory().total();
        }

        LlamaCppEngine.open(options(model).memoryBudget(needed + needed / 20).build())
                .close();
        assertFails(
                () -> LlamaCppEngine.open(
                        options(model).memoryBudget(needed - needed / 20).build()),
                ErrorCode.OUT_OF_MEMORY,
                "it would need");
    }

    @ParameterizedTest
    @EnumSource
    void answersAloneTogetherAndInASlotThatWasUsedBefore(ArchitectureModel architecture) throws Exception {
        if (architecture.kind() == Kind.ENCODER) {
            return;
        }
        try (InferenceEngine engine =
                LlamaCppEngine.open(options(architecture.write(folder)).build())) {
            CompletionResult first = answer(engine, LONG).get(60, TimeUnit.SECONDS);
            assertThat(first.generatedTokens()).isEqualTo(8);
            CompletionResult between = answer(engine, "Another one. " + LONG).get(60, TimeUnit.SECONDS);
            assertThat(between.generatedTokens()).isEqualTo(8);
            assertThat(answer(engine, LONG).get(60, TimeUnit.SECONDS).text())
                    .as("alone again")
                    .isEqualTo(first.text());

            List<CompletableFuture<CompletionResult>> others = new ArrayList<>();
            for (int i = 0; i < 3 * SEQUENCES; i++) {
                others.add(answer(engine, i + " " + LONG));
            }
            CompletableFuture<CompletionResult> again = answer(engine, LONG);

            for (CompletableFuture<CompletionResult> other : others) {
                assertThat(other.get(60, TimeUnit.SECONDS).generatedTokens()).isEqualTo(8);
            }
            assertThat(again.get(60, TimeUnit.SECONDS).text())
                    .as("beside others")
                    .isEqualTo(first.text());
        }
    }

    private static CompletableFuture<CompletionResult> answer(InferenceEngine engine, String prompt) {
        // no end token: the weights are random
        SamplingOptions endless = SamplingOptions.builder()
                .logitBias(Map.of(2, Float.NEGATIVE_INFINITY))
                .build();
        return engine.submit(CompletionRequest.of(prompt, AdapterStack.base())
                .withSampling(endless)
                .withMaxTokens(8));
    }

    @Test
    void whatLlamaCppAssertsWhileItLoadsIsACodedError() throws Exception {
        Path model = folder.resolve("shifted.gguf");
        ArchitectureModel.RWKV7.writer().uint32("rwkv7.token_shift_count", 1).write(model);

        assertFails(
                () -> LlamaCppEngine.open(options(model).build()),
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
    }
}
