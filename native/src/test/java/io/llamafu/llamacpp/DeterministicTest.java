package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.engine.LabelScores;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * With {@code deterministic} an answer has the same text, and its probabilities the same bits, whatever else is in its batches,
 * in whatever portions its prompt is computed, on however many threads. {@code packed_parity_models.cpp} compares the logits.
 */
class DeterministicTest {
    /** For a long run: {@code -Dllamafu.deterministic.records=10000}. */
    private static final int RECORDS = Integer.getInteger("llamafu.deterministic.records", 60);

    private static final int SEQUENCES = 32;
    /** More threads than a busy machine has cores wait for each other in every layer. */
    private static final Duration PATIENCE = Duration.ofMinutes(10);

    private static final List<String> LABELS =
            List.of("orthopedics", "cardiology", "contracts", "invoices: due", "invoices");

    @TempDir
    Path folder;

    /** What an answer is compared by. Records compare doubles by their bits. */
    private record Given(String text, Optional<LabelScores> scores) {
        static Given of(CompletionResult result) {
            return new Given(result.text(), result.labels());
        }
    }

    private record Asked(int index, CompletableFuture<CompletionResult> answer) {}

    @BeforeAll
    static void needsKernels() {
        assumeThat(NativePlatform.current().architecture()).isIn("x86_64", "aarch64");
    }

    static EngineOptions.Builder options() {
        return TinyModel.options()
                .packedWeights(true)
                .deterministic(true)
                .answerMemo(0)
                .parallelSequences(SEQUENCES);
    }

    /** Twelve stacks; greedy, by chance with a seed, and labels with exact probabilities. */
    static List<CompletionRequest> requests() {
        List<Golden> golden = TinyModel.golden();
        return IntStream.range(0, RECORDS)
                .mapToObj(i -> {
                    Golden question = golden.get((int) (i * 7919L % golden.size()));
                    CompletionRequest request = CompletionRequest.of(question.prompt(), question.stack())
                            .withMaxTokens(24)
                            .withTimeout(PATIENCE);
                    return switch (i % 3) {
                        case 0 -> request;
                        case 1 ->
                            request.withSampling(SamplingOptions.builder()
                                    .temperature(0.9f)
                                    .seed(i)
                                    .build());
                        default -> request.withLabels(Optional.of(LabelChoice.of(LABELS, Scoring.EXACT)));
                    };
                })
                .toList();
    }

    @Test
    void bitsDependOnTheRequestAlone() throws Exception {
        List<CompletionRequest> requests = requests();
        List<Given> alone = new ArrayList<>();
        try (InferenceEngine engine =
                LlamaCppEngine.open(options().prefixSharing(false).build())) {
            for (CompletionRequest request : requests) {
                alone.add(Given.of(get(engine.submit(request))));
            }
        }
        int different = 0;
        int cached = 0;
        for (int threads = 1; threads <= 3; threads++) {
            boolean sharing = threads != 1;
            Random random = new Random(threads);
            EngineOptions options = options()
                    .threads(threads)
                    .prefixSharing(sharing)
                    .batchSize(SEQUENCES + random.nextInt(300))
                    .build();
            try (InferenceEngine engine = LlamaCppEngine.open(options)) {
                for (Asked asked : together(engine, requests, random)) {
                    CompletionResult answer = get(asked.answer());
                    different += Given.of(answer).equals(alone.get(asked.index())) ? 0 : 1;
                    cached += answer.cachedPromptTokens();
                }
            }
        }
        System.out.printf(
                "%d records alone and six times together, %d cached prompt tokens, %d different answers%n",
                RECORDS, cached, different);
        assertThat(cached).isPositive();
        assertThat(different).isZero();
    }

    /** All twice, in groups of 1 to 32, of which the next begins before the last has ended. */
    private static List<Asked> together(InferenceEngine engine, List<CompletionRequest> requests, Random random)
            throws Exception {
        List<Integer> order = new ArrayList<>();
        for (int index = 0; index < requests.size(); index++) {
            order.add(index);
            order.add(index);
        }
        Collections.shuffle(order, random);
        List<Asked> asked = new ArrayList<>();
        while (asked.size() < order.size()) {
            int first = asked.size();
            int last = Math.min(order.size(), first + 1 + random.nextInt(SEQUENCES));
            for (int index : order.subList(first, last)) {
                asked.add(new Asked(index, engine.submit(requests.get(index))));
            }
            get(asked.get(first + random.nextInt(last - first)).answer());
        }
        return asked;
    }

    private static CompletionResult get(CompletableFuture<CompletionResult> answer) throws Exception {
        return answer.get(PATIENCE.toMinutes(), TimeUnit.MINUTES);
    }

    /** Experts, a soft cap in attention, recurrent states. */
    @ParameterizedTest
    @EnumSource(names = {"MIXTRAL", "GEMMA2", "GPT_OSS", "MAMBA", "FALCON_H1"})
    void modelsThatDependOnTheBatchAreRefused(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);

        assertFails(
                () -> LlamaCppEngine.open(RandomAnswers.options(model)
                        .packedWeights(true)
                        .deterministic(true)
                        .build()),
                ErrorCode.INVALID_OPTION,
                "deterministic is true");
    }

    /** Whose new tokens would take the cells of tokens that left the window. */
    @ParameterizedTest
    @EnumSource(names = {"LLAMA", "QWEN3", "GEMMA3"})
    void longPromptsInPortions(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        String prompt = "The quick brown fox jumps over the lazy dog. ".repeat(8);
        List<String> answers = new ArrayList<>();
        for (int batch : new int[] {24, 100, RandomAnswers.CONTEXT}) {
            try (InferenceEngine engine = LlamaCppEngine.open(RandomAnswers.options(model)
                    .packedWeights(true)
                    .deterministic(true)
                    .batchSize(batch)
                    .build())) {
                answers.add(RandomAnswers.ask(engine, prompt, "", 40).text());
            }
        }

        assertThat(answers.get(0)).hasSize(40);
        assertThat(answers).containsOnly(answers.get(0));
    }

    @Test
    void otherOptionsMustAgree() {
        assertFails(
                () -> options().packedWeights(false).build(),
                ErrorCode.INVALID_OPTION,
                "packed-weights",
                "deterministic");
        assertFails(
                () -> options().loraBatching(EngineOptions.LoraBatching.GROUPED).build(),
                ErrorCode.INVALID_OPTION,
                "lora-batching",
                "deterministic");
        assertFails(() -> options().gpuLayers(1).build(), ErrorCode.INVALID_OPTION, "gpu-layers", "deterministic");
    }
}
