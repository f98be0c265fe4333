package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineContractTest;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.grammar.LabelGrammar;
import io.llamafu.testing.Await;
import io.llamafu.testing.LoggedMessages;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;
import static io.llamafu.engine.Answers.answer;
import static io.llamafu.engine.Answers.endless;
import static io.llamafu.engine.Answers.failure;
import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The engine native keeps the whole contract, and more. */
class LlamaCppEngineTest extends EngineContractTest {
    @Override
    public InferenceEngine open(EngineOptions options) {
        return LlamaCppEngine.open(options);
    }

    @Override
    public int goldenSample() {
        return 3000;
    }

    /** Both alternatives begin alike, so the paths double with each parenthesis. */
    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void grammarWhoseWaysDoubleWithEachTokenFailsAlone() throws Exception {
        SamplingOptions doubling = SamplingOptions.builder()
                .grammar("root ::= r\nr ::= \"(\" r \"a\" | \"(\" r \"b\"")
                .build();
        CompletableFuture<CompletionResult> bad = engine().submit(CompletionRequest.of(PROMPT, MEDICAL)
                .withSampling(doubling)
                .withMaxTokens(200));
        CompletableFuture<CompletionResult> good = engine().submit(CompletionRequest.of(PROMPT, MEDICAL));

        assertThat(failure(bad))
                .hasMessageContaining("too many ways to go on")
                .extracting(LlamafuException::code)
                .isEqualTo(ErrorCode.GRAMMAR_TOO_COMPLEX);
        assertThat(good.get(60, TimeUnit.SECONDS).text()).isEqualTo("cardiology; routine");
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text())
                .isEqualTo("cardiology; routine");
    }

    /** Each token takes far less than a sequence may use at once, but the number of paths never decreases. */
    @Test
    @Timeout(value = 5, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void grammarThatTakesLongForEachTokenFailsAlone() throws Exception {
        String rules = IntStream.range(0, 4000)
                .mapToObj(i -> "r%d ::= [0-9a-z ] r%d\n".formatted(i, i))
                .collect(Collectors.joining());
        String ways = IntStream.range(0, 4000).mapToObj(i -> "r" + i).collect(Collectors.joining(" | "));
        CompletableFuture<CompletionResult> bad = engine().submit(CompletionRequest.of(PROMPT, MEDICAL)
                .withSampling(SamplingOptions.builder()
                        .grammar(rules + "root ::= " + ways)
                        .build())
                .withMaxTokens(200));

        assertThat(failure(bad).code()).isEqualTo(ErrorCode.GRAMMAR_TOO_COMPLEX);
        assertThat(answer(engine(), CompletionRequest.of(PROMPT, MEDICAL)).text())
                .isEqualTo("cardiology; routine");
    }

    @Test
    void thousandLabelsOfAnyScriptAreAnsweredWithinTheLimits() throws Exception {
        List<String> labels = IntStream.range(0, 1000)
                .mapToObj(i -> Character.toString(0x4e00 + i) + i)
                .toList();
        CompletionRequest request = CompletionRequest.of(PROMPT, MEDICAL)
                .withSampling(SamplingOptions.builder()
                        .grammar(LabelGrammar.of(labels))
                        .build())
                .withMaxTokens(LabelGrammar.maxTokens(labels));

        assertThat(answer(engine(), request).text()).isIn(labels);
    }

    @Test
    void groupedBatchesAnswerTheSame() throws Exception {
        assertGoldenAnswers(
                TinyModel.options().loraBatching(LoraBatching.GROUPED).build());
    }

    @Test
    void answersDoNotDependOnAPrefixCache() throws Exception {
        CompletionRequest longPrompt =
                CompletionRequest.of(TinyModel.prompt("Seen today for knee pain. ".repeat(8)), MEDICAL);
        CompletionResult first = answer(engine(), longPrompt);
        CompletionResult second = answer(engine(), longPrompt);
        CompletionResult otherStack =
                answer(engine(), CompletionRequest.of(longPrompt.prompt(), AdapterStack.parse("medical:0.5")));

        assertThat(first.text()).startsWith("orthopedics");
        assertThat(second.text()).isEqualTo(first.text());
        assertThat(second.cachedPromptTokens()).isEqualTo(second.promptTokens() - 1);
        assertThat(otherStack.cachedPromptTokens()).isZero();
        assertThat(otherStack.text()).startsWith("perhaps orthopedics");
    }

    @Test
    void adaptersBeyondTheBudgetTakeTurns() throws Exception {
        try (InferenceEngine small = LlamaCppEngine.open(
                TinyModel.options().adapterMemoryBudget(160_000).build())) {
            for (int round = 0; round < 3; round++) {
                for (String stack : List.of("medical", "legal", "finance", "formal", "medical+formal")) {
                    assertThat(answer(small, CompletionRequest.of(PROMPT, AdapterStack.parse(stack)))
                                    .text())
                            .isEqualTo(answer(engine(), CompletionRequest.of(PROMPT, AdapterStack.parse(stack)))
                                    .text());
                }
            }
            EngineMetrics metrics = small.metrics();
            assertThat(metrics.adapters().resident()).isLessThanOrEqualTo(2);
            assertThat(metrics.adapters().loads()).isGreaterThan(5);
            assertThat(metrics.memory().adapters()).isBetween(60_000L, 160_000L);

            assertThat(failure(small.submit(CompletionRequest.of(PROMPT, AdapterStack.parse("medical+legal+formal"))))
                            .code())
                    .isEqualTo(ErrorCode.OUT_OF_MEMORY);
        }
    }

    @Test
    void recordsOfMoreAdaptersThanTheBudgetHoldsAreAllAnswered() throws Exception {
        List<String> stacks = List.of("medical", "legal", "finance", "formal", "medical+formal", "finance+formal", "");
        try (InferenceEngine small = LlamaCppEngine.open(
                TinyModel.options().adapterMemoryBudget(160_000).build())) {
            List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
            for (int i = 0; i < 300; i++) {
                answers.add(small.submit(CompletionRequest.of(PROMPT, AdapterStack.parse(stacks.get(i % stacks.size())))
                        .withMaxTokens(8)));
            }
            for (CompletableFuture<CompletionResult> answer : answers) {
                assertThat(answer.get(60, TimeUnit.SECONDS).generatedTokens()).isPositive();
            }
            assertThat(small.metrics().memory().adapters()).isLessThanOrEqualTo(160_000);
        }
    }

    @Test
    void unloadedAndClearedAdaptersGiveTheirMemoryBack() throws Exception {
        try (InferenceEngine fresh = LlamaCppEngine.open(TinyModel.options().build())) {
            CompletionResult before = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));
            answer(fresh, CompletionRequest.of(PROMPT, AdapterStack.parse("legal+formal")));
            long all = fresh.metrics().memory().adapters();

            assertThat(fresh.unload("medical")).isTrue();
            awaitAdapterBytes(fresh, all / 3 * 2);
            assertThat(fresh.clear()).isEqualTo(2);
            awaitAdapterBytes(fresh, 0);
            assertThat(fresh.adapters()).noneMatch(LoadedAdapter::resident);
            assertThat(answer(fresh, CompletionRequest.of(PROMPT, MEDICAL)).text())
                    .isEqualTo(before.text());
        }
    }

    private static void awaitAdapterBytes(InferenceEngine engine, long bytes) throws Exception {
        Await.until(
                bytes + " bytes of adapters", () -> engine.metrics().memory().adapters() == bytes);
    }

    @Test
    void metricsCountStepsAndAdapters() throws Exception {
        try (InferenceEngine fresh = LlamaCppEngine.open(TinyModel.options().build())) {
            CompletionResult answer = answer(fresh, CompletionRequest.of(PROMPT, MEDICAL));

            EngineMetrics metrics = fresh.metrics();
            assertThat(metrics.decoding().steps()).isEqualTo(answer.generatedTokens());
            assertThat(metrics.adapters().resident()).isEqualTo(1);
            assertThat(metrics.memory().adapters()).isBetween(70_000L, 90_000L);
        }
    }

    private static InferenceEngine openWithSequencesThatRun() throws Exception {
        InferenceEngine fresh = LlamaCppEngine.open(TinyModel.longOptions(4).build());
        List<CompletableFuture<CompletionResult>> answers =
                Stream.generate(() -> fresh.submit(endless())).limit(32).toList();
        Await.until("steps", () -> fresh.metrics().decoding().steps() > 3);
        assertThat(answers).noneMatch(CompletableFuture::isDone);
        return fresh;
    }

    @Test
    void engineThatIsClosedInTheMiddleOfADecodeLogsNoError() throws Exception {
        try (LoggedMessages messages = new LoggedMessages("io.llamafu.llamacpp")) {
            for (int i = 0; i < 5; i++) {
                openWithSequencesThatRun().close();
            }
            assertThat(messages.all()).isEmpty();
        }
    }

    /** Like Flink, which interrupts a task that it cancels. */
    @Test
    void interruptedThreadThatClosesAnEngineLeavesNothingInMemory() throws Exception {
        InferenceEngine fresh = openWithSequencesThatRun();
        try (LoggedMessages messages = new LoggedMessages("io.llamafu.llamacpp")) {
            Thread.currentThread().interrupt();
            fresh.close();

            assertThat(Thread.interrupted()).isTrue();
            assertThat(messages.all()).isEmpty(); // the log reports what stays
        }
    }

    /** Beyond the GPUs of any machine, and of one without GPUs. */
    @Test
    void gpuThatIsNotThereIsRefusedRatherThanReplaced() throws Exception {
        EngineOptions.Builder options = TinyModel.options().gpuDevice(97);

        assertThatThrownBy(() -> open(options.gpuLayers(-1).build()))
                .isInstanceOf(LlamafuException.class)
                .hasMessageContaining("GPU 97");
        try (InferenceEngine withoutLayers = open(options.gpuLayers(0).build())) {
            assertThat(answer(withoutLayers, CompletionRequest.of(PROMPT, MEDICAL))
                            .text())
                    .isEqualTo("cardiology; routine");
        }
    }

    /** llama.cpp warns of each tensor whose weight has a layout of its own. */
    @Test
    void adaptersOfPackedWeightsAreLoadedWithoutWarnings() throws Exception {
        try (LoggedMessages messages = new LoggedMessages("io.llamafu.llamacpp.log");
                InferenceEngine engine =
                        open(TinyModel.options().packedWeights(true).build())) {
            assertThat(engine.preload(AdapterStack.parse("medical+legal")).get(60, TimeUnit.SECONDS))
                    .hasSize(2);
            assertThat(messages.all()).noneMatch(message -> message.contains("lora"));
        }
    }

    /** It passes our checks, but has no layers. */
    @Test
    void logSaysWhyLlamaCppRefusedAModel(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("model.gguf");
        new GgufWriter()
                .string("general.architecture", "llama")
                .uint32("llama.block_count", 1)
                .uint32("llama.embedding_length", 32)
                .uint32("llama.context_length", 64)
                .uint32("llama.attention.head_count", 4)
                .string("tokenizer.ggml.model", "llama")
                .strings("tokenizer.ggml.tokens", List.of("<unk>", "<s>", "</s>", "a"))
                .tensor("token_embd.weight", GgufTensorType.F32, List.of(32L, 4L), out -> out.write(new byte[512]))
                .write(file);
        try (LoggedMessages messages = new LoggedMessages("io.llamafu.llamacpp.log")) {
            assertFails(
                    () -> open(EngineOptions.builder(file).build()),
                    ErrorCode.MODEL_LOAD_FAILED,
                    "model.gguf; its log lines say why");
            assertThat(messages.all()).anyMatch(message -> message.startsWith("ERROR"));
        }
    }
}
