package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * An adapter whose finite weights make the model compute infinities, and the requests that use its slots afterwards.
 */
class SpoiledCellsTest {
    private static final int SLOTS = 16;
    private static final AdapterStack TOO_STRONG = AdapterStack.parse("strong");
    private static final List<String> COMPLAINTS =
            List.of("chest pain", "knee pain", "a cough", "blurred vision", "an itchy rash", "headaches");

    @TempDir
    Path adapters;

    @BeforeEach
    void publish() throws Exception {
        for (String name : List.of("medical", "formal")) {
            TinyModel.publish(adapters, name, name);
        }
        GgufFile base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        GgufWriter writer = new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", base.string("general.architecture"))
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", 4);
        for (GgufTensor target : base.tensors().values()) {
            if (target.name().matches("blk\\.\\d+\\.(attn_.|ffn_up)\\.weight")) {
                tensor(writer, target.name() + ".lora_a", target.dimension(0), 4);
                tensor(writer, target.name() + ".lora_b", 4, target.dimension(1));
            }
        }
        writer.write(adapters.resolve("strong.gguf"));
    }

    private static void tensor(GgufWriter writer, String name, long columns, long rows) {
        writer.tensor(
                name,
                GgufTensorType.F32,
                List.of(columns, rows),
                GgufTensorData.random(GgufTensorType.F32, columns * rows, name.hashCode(), 1_000));
    }

    private EngineOptions.Builder options(LoraBatching batching) {
        return TinyModel.options().adapters(adapters).parallelSequences(SLOTS).loraBatching(batching);
    }

    /** More than 64 tokens, above which llama.cpp computes attention differently. */
    private static CompletionRequest healthy(int number) {
        String text = "Patient %d reports %s in a mild form. ".formatted(number, COMPLAINTS.get(number % 6));
        return CompletionRequest.of(
                TinyModel.prompt(text.repeat(2 + number % 4)),
                AdapterStack.parse(
                        List.of("medical", "medical+formal", "medical:0.5").get(number % 3)));
    }

    private static CompletionRequest spoiling(int number) {
        return CompletionRequest.of(healthy(number).prompt().toString().repeat(1 + number % 2), TOO_STRONG);
    }

    private static List<CompletableFuture<CompletionResult>> submit(InferenceEngine engine, int from, int count) {
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int i = from; i < from + count; i++) {
            answers.add(engine.submit(healthy(i)));
        }
        return answers;
    }

    private static List<String> texts(List<CompletableFuture<CompletionResult>> answers) {
        return answers.stream().map(answer -> answer.join().text()).toList();
    }

    private List<String> answersWithoutNeighbours(LoraBatching batching, int count) {
        try (InferenceEngine fresh = LlamaCppEngine.open(options(batching).build())) {
            return texts(submit(fresh, 0, count));
        }
    }

    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void infinitiesOfOneRecordReachNoOtherInItsSlotOrItsBatch(LoraBatching batching) {
        List<String> expected = answersWithoutNeighbours(batching, 48);
        try (InferenceEngine engine = LlamaCppEngine.open(options(batching).build())) {
            List<CompletableFuture<CompletionResult>> spoiled = new ArrayList<>();
            List<CompletableFuture<CompletionResult>> beside = new ArrayList<>();
            for (int i = 0; i < 2 * SLOTS; i++) {
                spoiled.add(engine.submit(spoiling(i)));
                beside.addAll(submit(engine, i, 1));
            }

            assertThat(spoiled)
                    .allSatisfy(answer -> assertThat(failure(answer)).isEqualTo(ErrorCode.NON_FINITE_LOGITS));
            assertThat(texts(beside)).isEqualTo(expected.subList(0, 2 * SLOTS));
            assertThat(texts(submit(engine, 0, 48))).isEqualTo(expected);
        }
    }

    /** No token was sampled from their cells, so their content was never checked. */
    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    void recordsThatAreGivenUpInTheirPromptSpoilNoSlot(LoraBatching batching) throws Exception {
        List<String> expected = answersWithoutNeighbours(batching, 48);
        // a step takes a part of the prompts
        try (InferenceEngine engine =
                LlamaCppEngine.open(options(batching).batchSize(128).build())) {
            engine.preload(TOO_STRONG).join();
            String prompt = TinyModel.prompt("Patient 7 reports chest pain in a mild form. ".repeat(20));
            for (int round = 0; round < 8; round++) {
                List<CompletableFuture<CompletionResult>> spoiled = new ArrayList<>();
                for (int i = 0; i < SLOTS; i++) {
                    spoiled.add(engine.submit(CompletionRequest.of(i + prompt, TOO_STRONG)));
                }
                long steps = engine.metrics().decoding().steps();
                Await.until(
                        "half of the prompts", () -> engine.metrics().decoding().steps() > steps + 15);
                spoiled.forEach(answer -> answer.cancel(false));
            }

            assertThat(texts(submit(engine, 0, 48))).isEqualTo(expected);
        }
    }

    private static ErrorCode failure(CompletableFuture<CompletionResult> answer) {
        try {
            CompletionResult unexpected = answer.join();
            throw new AssertionError("Expected a failure, but got " + unexpected);
        } catch (CompletionException e) {
            return ((LlamafuException) e.getCause()).code();
        }
    }
}
