package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.failure;
import static io.llamafu.testing.Failures.assertFails;
import static io.llamafu.testing.Failures.code;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

/** The promises of every engine about adapters: names, scales, files, and the adapter list. */
interface AdapterContract extends EngineUnderTest {
    @ParameterizedTest
    @ValueSource(strings = {"medical:0", "medical:0+formal:0", "legal:0"})
    default void scaleZeroIsTheBaseModel(String stack) throws Exception {
        CompletionRequest request = CompletionRequest.of(PROMPT, AdapterStack.parse(stack));

        assertThat(answer(engine(), request).text())
                .isEqualTo(answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.base()))
                        .text())
                .isNotEqualTo("cardiology; routine");
    }

    @Test
    default void scaleIsBetweenBaseAndAdapter() throws Exception {
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.of("medical", 0.5f)))
                        .text())
                .isEqualTo("perhaps cardiology; routine");
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.of("medical", 1)))
                        .text())
                .isEqualTo("cardiology; routine");
    }

    /** Answers are meaningless at such scales, but the computation must stay usable. */
    @Test
    default void recordsAtTheLargestScalesSpoilNoOther() throws Exception {
        List<CompletableFuture<CompletionResult>> spoiling = new ArrayList<>();
        List<CompletableFuture<CompletionResult>> healthy = new ArrayList<>();
        String text = "Patient W99 reports chest pain in a mild form. ";
        for (int i = 0; i < 48; i++) {
            String stack = List.of("medical:%s", "formal:%s", "legal:%s", "medical:%s+formal:%1$s")
                    .get(i % 4)
                    .formatted(i % 8 < 4 ? 100f : -100f);
            spoiling.add(engine().submit(
                            CompletionRequest.of(TinyModel.prompt(text.repeat(1 + i % 9)), AdapterStack.parse(stack))
                                    .withMaxTokens(16)));
        }
        for (CompletableFuture<CompletionResult> answer : spoiling) {
            try {
                answer.get(60, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                assertThat(e).hasStackTraceContaining("NON_FINITE_LOGITS");
            }
        }
        for (int i = 0; i < 40; i++) {
            healthy.add(engine().submit(CompletionRequest.of(TinyModel.prompt(text.repeat(1 + i % 6)), MEDICAL)));
        }
        for (CompletableFuture<CompletionResult> answer : healthy) {
            assertThat(answer.get(60, TimeUnit.SECONDS).text()).isEqualTo("cardiology; routine");
        }
    }

    @Test
    default void stackedAdaptersActTogetherInAnyOrder() throws Exception {
        String formal = answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.parse("medical+formal")))
                .text();

        assertThat(formal).contains("cardiology").isNotEqualTo("cardiology; routine");
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.parse("formal+medical")))
                        .text())
                .isEqualTo(formal);
    }

    @ParameterizedTest
    @EnumSource(LoraBatching.class)
    default void scalesOfOneContentUnderTwoNamesAddUp(LoraBatching batching, @TempDir Path folder) throws Exception {
        TinyModel.publish(folder, "one", "medical");
        TinyModel.publish(folder, "two", "medical");
        EngineOptions options =
                TinyModel.options().adapters(folder).loraBatching(batching).build();
        try (InferenceEngine fresh = open(options)) {
            CompletionRequest full = CompletionRequest.of(PROMPT, AdapterStack.parse("one:0.5+two:0.5"));
            CompletionRequest none = CompletionRequest.of(PROMPT, AdapterStack.parse("one:1+two:-1"));

            assertThat(answer(fresh, full).text()).isEqualTo("cardiology; routine");
            assertThat(answer(fresh, full).adapters())
                    .extracting(AppliedAdapter::name, AppliedAdapter::scale)
                    .containsExactly(tuple("one", 0.5f), tuple("two", 0.5f));
            assertThat(answer(fresh, none).text())
                    .isEqualTo(answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.base()))
                            .text());
        }
    }

    @Test
    default void unknownAdapterIsAnErrorThatNamesTheKnownOnes() throws Exception {
        LlamafuException failure = failure(engine().submit(CompletionRequest.of(PROMPT, AdapterStack.parse("nobody"))));

        assertThat(failure.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        assertThat(failure).hasMessageContaining("finance, formal, legal, medical");
    }

    @Test
    default void adapterIsAnErrorWithoutAFolderOfThem() throws Exception {
        try (InferenceEngine bare = open(EngineOptions.builder(TinyModel.model())
                .contextSize(128)
                .threads(1)
                .parallelSequences(2)
                .build())) {
            assertThat(failure(bare.submit(CompletionRequest.of(PROMPT, MEDICAL)))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
            assertThat(answer(
                                    bare,
                                    CompletionRequest.of(PROMPT, AdapterStack.base())
                                            .withMaxTokens(5))
                            .generatedTokens())
                    .isPositive();
        }
    }

    @Test
    default void adapterThatIsPublishedLaterAnswers(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("legal.gguf"), folder.resolve("legal.gguf"));
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            CompletionRequest request = CompletionRequest.of(PROMPT, AdapterStack.parse("new"));
            assertThat(failure(fresh.submit(request)).code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);

            TinyModel.publish(folder, "new", "medical");
            CompletionResult first = answer(fresh, request);
            TinyModel.publish(folder, "new", "finance");
            assertThat(first.text()).isEqualTo("cardiology; routine");
            Await.until(
                    "an answer of the new version",
                    () -> !answer(fresh, request).adapters().equals(first.adapters()));
            assertThat(answer(fresh, request).text()).isNotEqualTo(first.text());
        }
    }

    @Test
    default void stackWithoutAScaleTakesTheDefaultOfTheAdapter(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(folder.resolve("medical.json"), "{\"defaultScale\": 0.5}");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            CompletionResult halved = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));

            assertThat(halved.text()).isEqualTo("perhaps cardiology; routine");
            assertThat(halved.adapters().get(0).scale()).isEqualTo(0.5f);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.of("medical", 1)))
                            .text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    default void malformedCardIsAnErrorForRecordsOfItsAdapterOnly(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.copy(TinyModel.adapters().resolve("legal.gguf"), folder.resolve("legal.gguf"));
        Files.writeString(folder.resolve("legal.json"), "{\"defaultScale\": \"high\"}");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, AdapterStack.of("legal", 1))))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_INVALID);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    default void malformedAdapterIsAnErrorForItsRecordsOnly(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(folder.resolve("broken.gguf"), "not an adapter");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("broken"))))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_INVALID);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    default void adapterWithAWeightThatIsNoNumberIsInvalidAndListedAsSuch(@TempDir Path folder) throws Exception {
        byte[] content = Files.readAllBytes(TinyModel.adapters().resolve("medical.gguf"));
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putShort(content.length - 640, (short) 0x7e00);
        Files.write(folder.resolve("broken.gguf"), content);
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            LlamafuException failure =
                    failure(fresh.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("broken"))));

            assertThat(failure.code()).isEqualTo(ErrorCode.ADAPTER_INVALID);
            assertThat(failure).hasMessageContaining("has a weight that is no finite number");
            assertThat(fresh.adapters().get(0).problem())
                    .hasValueSatisfying(problem -> assertThat(problem).contains("has a weight"));
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo("cardiology; routine");
        }
    }

    @Test
    default void adapterThatIsNamedByItsFileAnswers() throws Exception {
        EngineOptions options = EngineOptions.builder(TinyModel.model())
                .adapter("diagnosis", TinyModel.adapters().resolve("medical.gguf"))
                .contextSize(256)
                .threads(1)
                .parallelSequences(2)
                .build();
        try (InferenceEngine fresh = open(options)) {
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.of("diagnosis")))
                            .text())
                    .isEqualTo("cardiology; routine");
            assertThat(failure(fresh.submit(CompletionRequest.of(PROMPT, MEDICAL)))
                            .code())
                    .isEqualTo(ErrorCode.ADAPTER_NOT_FOUND);
        }
    }

    @Test
    default void adaptersAreListedWithWhatTheyAre(@TempDir Path folder) throws Exception {
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), folder.resolve("medical.gguf"));
        Files.writeString(
                folder.resolve("medical.json"),
                "{\"description\": \"Labels notes\", \"defaultScale\": 0.5, \"tags\": [\"domain\"]}");
        Files.writeString(folder.resolve("broken.gguf"), "not an adapter");
        try (InferenceEngine fresh = open(TinyModel.options().adapters(folder).build())) {
            AppliedAdapter preloaded =
                    fresh.preload(MEDICAL).get(60, TimeUnit.SECONDS).get(0);

            List<LoadedAdapter> adapters = fresh.adapters();
            assertThat(adapters).extracting(LoadedAdapter::name).containsExactly("broken", "medical");
            assertThat(adapters.get(0)).satisfies(broken -> {
                assertThat(broken.resident()).isFalse();
                assertThat(broken.problem())
                        .hasValueSatisfying(problem -> assertThat(problem).contains("broken"));
            });
            assertThat(adapters.get(1)).satisfies(medical -> {
                assertThat(medical.resident()).isTrue();
                assertThat(medical.digest()).contains(preloaded.digest());
                assertThat(medical.info().rank()).isEqualTo(4);
                assertThat(medical.info().alpha()).isPositive();
                assertThat(medical.info().targetModules()).contains("attn_q", "ffn_down");
                assertThat(medical.info().parameters()).isBetween(30_000L, 40_000L);
                assertThat(medical.bytes()).isBetween(60_000L, 80_000L);
                assertThat(medical.leases()).isZero();
                assertThat(medical.card().defaultScale()).isEqualTo(0.5f);
                assertThat(medical.card().description()).isEqualTo("Labels notes");
                assertThat(medical.card().tags()).containsExactly("domain");
                assertThat(medical.problem()).isEmpty();
            });
        }
    }

    @Test
    default void preloadSaysWhatAStackResolvesToOrWhyItCannot() throws Exception {
        assertThat(engine().preload(AdapterStack.parse("medical:0.5+formal")).get(60, TimeUnit.SECONDS))
                .extracting(AppliedAdapter::name, AppliedAdapter::scale)
                .containsExactly(tuple("medical", 0.5f), tuple("formal", 1f));
        assertThat(engine().preload(AdapterStack.base()).get(60, TimeUnit.SECONDS))
                .isEmpty();
        assertThatThrownBy(() -> engine().preload(AdapterStack.of("nobody")).get(60, TimeUnit.SECONDS))
                .cause()
                .has(code(ErrorCode.ADAPTER_NOT_FOUND));
    }

    @Test
    default void adaptersToPreloadAreThereWhenTheEngineIsOpen() {
        EngineOptions.Builder options = TinyModel.options().parallelSequences(2);
        try (InferenceEngine fresh = open(
                options.adapterPreload(List.of(AdapterStack.of("medical"), AdapterStack.parse("medical:0.5+formal")))
                        .build())) {
            assertThat(fresh.adapters())
                    .filteredOn(LoadedAdapter::resident)
                    .extracting(LoadedAdapter::name)
                    .contains("medical", "formal");
        }
        options.adapterPreload(List.of(AdapterStack.of("nobody")));
        assertFails(() -> open(options.build()).close(), ErrorCode.ADAPTER_NOT_FOUND);
    }

    @Test
    default void malformedNameCannotBeUnloaded() {
        assertFails(() -> engine().unload("../medical"), ErrorCode.INVALID_REQUEST);
        assertThat(engine().unload("nobody")).isFalse();
    }
}
