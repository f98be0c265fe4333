package io.llamafu.peft;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.llamacpp.ForcedDecoding;
import io.llamafu.llamacpp.ForcedDecoding.Forced;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.peft.ExpectedAnswers.Answer;
import io.llamafu.peft.ExpectedAnswers.Tokenized;
import io.llamafu.testing.Programs;
import io.llamafu.testing.RealModels;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.io.TempDirFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * Real models with PEFT adapters answer as transformers and peft do. With {@code -Dparity=full}: all combinations, for the
 * table of {@code docs/parity.md}.
 */
class RealParityTest {
    private static final boolean FULL = "full".equals(System.getProperty("parity"));
    private static final Path DEQUANTIZE = Path.of("../target/native/cmake/dequantize");
    private static final String RANDOM = "random-";
    private static final int SEQUENCES = 16;
    private static final int STEPS_ALONE = 5;

    /** The weights as floats take more than a gigabyte, which may be too much for a file system in memory. */
    static final class InTarget implements TempDirFactory {
        @Override
        public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext extension)
                throws IOException {
            return Files.createTempDirectory(Path.of("target").toAbsolutePath(), "parity");
        }
    }

    @TempDir(factory = InTarget.class)
    Path folder;

    @Test
    void smolLm2AnswersAsTransformers() throws Exception {
        check("smollm2-135m-instruct", RealModels.smolLm2());
    }

    @Test
    void gemma3AnswersAsTransformers() throws Exception {
        assumeThat(FULL).as("-Dparity=full").isTrue();
        check("gemma3-270m", RealModels.gemma3());
    }

    private void check(String name, Path quantized) throws Exception {
        assumeThat(DEQUANTIZE).as("the native library was built").exists();
        ExpectedAnswers expected = ExpectedAnswers.read(name);
        assertThat(Sha256.of(quantized))
                .as("the file that the answers are from")
                .isEqualTo(expected.sha256());
        Map<String, Path> adapters = convertAdapters(name, quantized, expected);

        List<Answer> answers = FULL ? expected.answers() : expected.oneOfEachPrompt();
        int stepsAlone = FULL ? Integer.MAX_VALUE : STEPS_ALONE;

        Path floats = dequantize(quantized, "f32");
        Agreement mixed = run(name, "F32", floats, adapters, SEQUENCES, answers, Integer.MAX_VALUE);
        Agreement alone = run(name, "F32", floats, adapters, 1, answers, stepsAlone);
        int equalAnswers = answersOfTheEngine(floats, adapters, expected.oneOfEachPrompt());
        if (FULL) {
            for (String stack : expected.stacks()) {
                List<Answer> ofStack = answers.stream()
                        .filter(answer -> answer.stack().equals(stack))
                        .toList();
                String weights = "F32, " + (stack.isEmpty() ? "no adapter" : stack);
                Agreement unused = run(name, weights, floats, adapters, SEQUENCES, ofStack, Integer.MAX_VALUE);
            }
        }
        Files.delete(floats);
        Path halves = dequantize(quantized, "f16");
        Agreement half = run(name, "F16", halves, adapters, SEQUENCES, answers, Integer.MAX_VALUE);
        Files.delete(halves);
        Agreement asFetched = run(name, "as fetched", quantized, adapters, SEQUENCES, answers, Integer.MAX_VALUE);

        for (Agreement agreement : List.of(alone, mixed, half)) {
            assertThat(agreement.share()).as(agreement.toString()).isGreaterThanOrEqualTo(0.99);
        }
        assertThat(asFetched.share()).as(asFetched.toString()).isGreaterThan(0.9);
        assertThat(equalAnswers).isGreaterThanOrEqualTo(8);
    }

    private Map<String, Path> convertAdapters(String name, Path model, ExpectedAnswers expected) throws IOException {
        GgufFile base = GgufReader.read(model, GgufKind.MODEL);
        Map<String, Path> adapters = new HashMap<>();
        for (String adapter : expected.stacks()) {
            if (!adapter.isEmpty()) {
                Path trained =
                        ExpectedAnswers.FOLDER.resolve("adapters").resolve(name).resolve(adapter);
                Path saved = adapter.startsWith(RANDOM)
                        ? RandomAdapter.write(
                                folder.resolve(adapter), base, Integer.parseInt(adapter.substring(RANDOM.length())))
                        : trained;
                Path converted = folder.resolve(adapter + ".gguf");
                PeftConverter.convert(saved, converted, PeftBase.read(model), WeightType.F32);
                adapters.put(adapter, converted);
            }
        }
        return adapters;
    }

    private Path dequantize(Path model, String type) throws Exception {
        Path floats = folder.resolve(type + ".gguf");
        String unused = Programs.run(DEQUANTIZE.toAbsolutePath().toString(), model.toString(), floats.toString(), type);
        return floats;
    }

    private static EngineOptions.Builder options(Path model, int sequences) {
        return EngineOptions.builder(model)
                .contextSize(1024)
                .parallelSequences(sequences)
                .threads(Math.min(2, Runtime.getRuntime().availableProcessors()));
    }

    /** Neighbours in a batch have different adapters. */
    private static Agreement run(
            String name,
            String weights,
            Path model,
            Map<String, Path> adapters,
            int sequences,
            List<Answer> answers,
            int mostSteps) {
        List<Answer> ordered =
                answers.stream().sorted(Comparator.comparingInt(Answer::number)).toList();
        String decoding = sequences == 1 ? "alone" : "mixed, " + Math.min(sequences, answers.size());
        Agreement agreement = new Agreement("%s | %s | %s".formatted(name, weights, decoding));
        try (ForcedDecoding forced =
                ForcedDecoding.open(options(model, sequences).build(), adapters)) {
            for (int from = 0; from < ordered.size(); from += sequences) {
                List<Answer> batch = ordered.subList(from, Math.min(from + sequences, ordered.size()));
                forced.run(
                        batch.stream().map(answer -> forced(answer, mostSteps)).toList(),
                        (sequence, step, logits) -> agreement.add(batch.get(sequence), step, logits));
            }
        }
        System.out.println(agreement);
        if (agreement.share() >= 0.98) {
            agreement.disagreements().forEach(line -> System.out.println("    " + line));
        }
        return agreement;
    }

    private static Forced forced(Answer answer, int mostSteps) {
        List<Integer> tokens = answer.tokens();
        return new Forced(answer.stack(), answer.promptTokens(), tokens.subList(0, Math.min(mostSteps, tokens.size())));
    }

    /** The number of equal texts that the engine generates by itself, all at once. */
    private static int answersOfTheEngine(Path model, Map<String, Path> adapters, List<Answer> answers)
            throws Exception {
        EngineOptions.Builder options = options(model, SEQUENCES);
        adapters.forEach(options::adapter);
        int equal = 0;
        try (InferenceEngine engine = LlamaCppEngine.open(options.build())) {
            List<CompletableFuture<CompletionResult>> results = new ArrayList<>();
            for (Answer answer : answers) {
                results.add(engine.submit(new CompletionRequest(
                        Prompt.withControlTokens(answer.prompt()),
                        AdapterStack.parse(answer.stack()),
                        SamplingOptions.greedy(),
                        answer.steps().size(),
                        List.of(),
                        CompletionRequest.DEFAULT_TIMEOUT)));
            }
            for (int index = 0; index < answers.size(); index++) {
                String text = results.get(index).get(2, TimeUnit.MINUTES).text();
                boolean same = text.equals(answers.get(index).text());
                equal += same ? 1 : 0;
                if (!same) {
                    System.out.printf(
                            "    prompt %d, stack '%s': expected %s, but the engine answers %s%n",
                            answers.get(index).number(),
                            answers.get(index).stack(),
                            answers.get(index).text(),
                            text);
                }
            }
        }
        System.out.printf("    engine: %d of %d answers equal%n", equal, answers.size());
        return equal;
    }

    @Test
    void smolLm2HasTheTokensOfItsTokenizer() {
        compareTokens("smollm2-135m-instruct", RealModels.smolLm2());
    }

    @Test
    void gemma3HasTheTokensOfItsTokenizer() {
        assumeThat(FULL).as("-Dparity=full").isTrue();
        compareTokens("gemma3-270m", RealModels.gemma3());
    }

    private static void compareTokens(String name, Path model) {
        List<Tokenized> expected = ExpectedAnswers.readTokens(name);
        assertThat(expected).hasSizeGreaterThanOrEqualTo(200);
        try (ForcedDecoding decoding = ForcedDecoding.open(options(model, 1).build(), Map.of())) {
            for (Tokenized tokenized : expected) {
                assertThat(decoding.tokenize(tokenized.text()))
                        .as(tokenized.text())
                        .isEqualTo(tokenized.tokens());
            }
        }
    }

    /** Otherwise the comparisons would not show an adapter that is left out. */
    @Test
    void everyAdapterChangesTheAnswers() {
        for (String name : List.of("smollm2-135m-instruct", "gemma3-270m")) {
            List<Answer> answers = ExpectedAnswers.read(name).answers();
            List<Answer> base =
                    answers.stream().filter(answer -> answer.stack().isEmpty()).toList();
            for (Answer answer : answers) {
                if (!answer.stack().isEmpty()) {
                    assertThat(answer.steps().get(0).logits())
                            .as("%s, %s, prompt %d", name, answer.stack(), answer.number())
                            .isNotEqualTo(
                                    base.get(answer.number()).steps().get(0).logits());
                }
            }
        }
    }
}
