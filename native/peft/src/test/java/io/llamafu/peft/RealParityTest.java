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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * Real models with PEFT adapters answer as transformers and peft do. With {@code -Dparity=full}: all combinations, for the
 * table of {@code docs/parity.md}; with {@code -Dparity=f32,fetched+packed} those of the weights and kernels that are named.
 */
class RealParityTest {
    /** The file as it is. Both sides have its weights, so that only the rounding of activations is left. */
    private static final String FETCHED = "fetched";
    /** The weights of {@code q8_0} as floats: what the rounding of weights costs without that of activations. */
    private static final String ROUNDED = "q8_0-as-f32";

    private static final String PACKED = "+packed";
    private static final List<String> FLOATS = List.of("f32", "f16");
    private static final List<String> TYPES = List.of("f32", "f16", ROUNDED, "q8_0", FETCHED);
    private static final List<String> ROWS =
            TYPES.stream().flatMap(type -> Stream.of(type, type + PACKED)).toList();
    private static final String WANTED = System.getProperty("parity", "");
    private static final List<String> WANTED_ROWS = WANTED.equals("full") ? ROWS : List.of(WANTED.split(","));
    private static final boolean LONG = !WANTED.isEmpty();
    /** {@code -Dparity.in-turn=true}: as without {@code parity}, the stacks in turn and not each prompt with each stack. */
    private static final boolean IN_TURN = Boolean.getBoolean("parity.in-turn");

    private static final Path DEQUANTIZE = Path.of("../target/native/cmake/dequantize");
    private static final String RANDOM = "random-";
    private static final int SEQUENCES = 16;
    private static final int STEPS_ALONE = 5;
    private static final int STEPS_OF_GEMMA = 20;
    private static final int MOST_SHOWN = 20;
    private static final double WIDEST_TIE = 0.1;

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
        Model model = Model.of("smollm2-135m-instruct", RealModels.smolLm2());
        if (LONG) {
            compareAll(model);
            return;
        }
        Weights floats = weights(model, "f32");
        Agreement mixed = run(model, floats, SEQUENCES, model.answers(), Integer.MAX_VALUE);
        Agreement alone = run(model, floats, 1, model.answers(), STEPS_ALONE);
        int equalAnswers = answersOfTheEngine(model, floats);
        Files.delete(floats.file());
        Weights halves = weights(model, "f16");
        Agreement half = run(model, halves, SEQUENCES, model.answers(), Integer.MAX_VALUE);
        Files.delete(halves.file());
        Agreement asFetched = run(model, weights(model, FETCHED), SEQUENCES, model.answers(), Integer.MAX_VALUE);

        assertAgrees(mixed, alone, half);
        assertThat(asFetched.share()).as(asFetched.toString()).isGreaterThan(0.9);
        assertThat(equalAnswers).isGreaterThanOrEqualTo(8);
    }

    @Test
    void gemma3AnswersAsTransformers() throws Exception {
        Model model = Model.of("gemma3-270m", RealModels.gemma3());
        if (LONG) {
            compareAll(model);
            return;
        }
        Weights halves = weights(model, "f16");
        Agreement mixed = run(model, halves, SEQUENCES, model.answers(), STEPS_OF_GEMMA);
        Files.delete(halves.file());
        assertAgrees(mixed);
    }

    /** For the table of the documentation. */
    private void compareAll(Model model) throws Exception {
        assertThat(ROWS).as("what -Dparity can name").containsAll(WANTED_ROWS);
        List<Agreement> exact = new ArrayList<>();
        for (String type : TYPES) {
            List<String> rows =
                    Stream.of(type, type + PACKED).filter(WANTED_ROWS::contains).toList();
            if (rows.isEmpty()) {
                continue;
            }
            Weights plain = weights(model, type);
            for (String row : rows) {
                Weights weights = new Weights(row, plain.file(), row.endsWith(PACKED));
                Agreement mixed = run(model, weights, SEQUENCES, model.answers(), Integer.MAX_VALUE);
                if (FLOATS.contains(type)) {
                    exact.add(mixed);
                    exact.add(run(model, weights, 1, model.expected().oneOfEachPrompt(), Integer.MAX_VALUE));
                }
                int unused = answersOfTheEngine(model, weights);
            }
            if (!type.equals(FETCHED)) {
                Files.delete(plain.file());
            }
        }
        assertAgrees(exact.toArray(Agreement[]::new));
        assertThat(exact).allSatisfy(agreement -> assertThat(agreement.share()).isGreaterThanOrEqualTo(0.99));
    }

    /** Rounding decides between tokens that are as good as equal, and short runs may have more of them than 1 %. */
    private static void assertAgrees(Agreement... agreements) {
        for (Agreement agreement : agreements) {
            assertThat(agreement.share()).as(agreement.toString()).isGreaterThanOrEqualTo(0.98);
            assertThat(agreement.widestTie()).as(agreement.toString()).isLessThan(WIDEST_TIE);
        }
    }

    /**
     * A model with what transformers answers with it.
     *
     * @param answers those to compare with
     */
    private record Model(String name, Path quantized, ExpectedAnswers expected, List<Answer> answers) {
        static Model of(String name, Path quantized) throws IOException {
            assumeThat(DEQUANTIZE).as("the native library was built").exists();
            ExpectedAnswers expected = ExpectedAnswers.read(name);
            assertThat(Sha256.of(quantized))
                    .as("the file that the answers are from")
                    .isEqualTo(expected.sha256());
            return new Model(
                    name, quantized, expected, LONG && !IN_TURN ? expected.answers() : expected.oneOfEachPrompt());
        }
    }

    /**
     * The weights of a model in one type.
     *
     * @param packed whether our kernels multiply them
     */
    private record Weights(String name, Path file, boolean packed) {}

    /** Converts the adapters of all stacks once. */
    private Map<String, Path> adapters(Model model) throws IOException {
        GgufFile base = GgufReader.read(model.quantized(), GgufKind.MODEL);
        Map<String, Path> adapters = new HashMap<>();
        for (String adapter : model.expected().adapters()) {
            Path converted = folder.resolve(adapter + ".gguf");
            if (!Files.exists(converted)) {
                Path saved = adapter.startsWith(RANDOM)
                        ? RandomAdapter.write(
                                folder.resolve(adapter), base, Integer.parseInt(adapter.substring(RANDOM.length())))
                        : ExpectedAnswers.FOLDER
                                .resolve("adapters")
                                .resolve(model.name())
                                .resolve(adapter);
                PeftConverter.convert(saved, converted, PeftBase.read(model.quantized()), WeightType.F32);
            }
            adapters.put(adapter, converted);
        }
        return adapters;
    }

    private Weights weights(Model model, String type) throws Exception {
        if (type.equals(FETCHED)) {
            return new Weights(type, model.quantized(), false);
        }
        Path file = folder.resolve(type + ".gguf");
        if (type.equals(ROUNDED)) {
            Path bytes = folder.resolve("bytes.gguf");
            dequantize(model.quantized(), bytes, "q8_0");
            dequantize(bytes, file, "f32");
            Files.delete(bytes);
        } else {
            dequantize(model.quantized(), file, type);
        }
        return new Weights(type, file, false);
    }

    private static void dequantize(Path from, Path to, String type) throws Exception {
        String unused = Programs.run(DEQUANTIZE.toAbsolutePath().toString(), from.toString(), to.toString(), type);
    }

    private static EngineOptions.Builder options(Weights weights, int sequences) {
        return options(weights.file(), sequences).packedWeights(weights.packed());
    }

    private static EngineOptions.Builder options(Path model, int sequences) {
        return EngineOptions.builder(model)
                .contextSize(1024)
                .parallelSequences(sequences)
                .threads(Math.min(2, Runtime.getRuntime().availableProcessors()));
    }

    /** Neighbours in a batch have different adapters. */
    private Agreement run(Model model, Weights weights, int sequences, List<Answer> answers, int mostSteps)
            throws IOException {
        List<Answer> ordered =
                answers.stream().sorted(Comparator.comparingInt(Answer::number)).toList();
        String title = "%s | %s | %s"
                .formatted(
                        model.name(),
                        weights.name(),
                        sequences == 1 ? "alone" : "mixed, " + Math.min(sequences, ordered.size()));
        Agreement all = new Agreement(title + " | all");
        Map<String, Agreement> ofStacks = new LinkedHashMap<>();
        for (String stack : model.expected().stacks()) {
            ofStacks.put(stack, new Agreement(title + " | " + (stack.isEmpty() ? "base" : stack)));
        }
        try (ForcedDecoding forced =
                ForcedDecoding.open(options(weights, sequences).build(), adapters(model))) {
            for (int from = 0; from < ordered.size(); from += sequences) {
                List<Answer> batch = ordered.subList(from, Math.min(from + sequences, ordered.size()));
                forced.run(
                        batch.stream().map(answer -> forced(answer, mostSteps)).toList(), (sequence, step, logits) -> {
                            Answer answer = batch.get(sequence);
                            all.add(answer, step, logits);
                            ofStacks.get(answer.stack()).add(answer, step, logits);
                        });
            }
        }
        System.out.println(all);
        ofStacks.values().forEach(System.out::println);
        all.disagreements().stream().limit(MOST_SHOWN).forEach(line -> System.out.println("    " + line));
        return all;
    }

    private static Forced forced(Answer answer, int mostSteps) {
        List<Integer> tokens = answer.tokens();
        return new Forced(answer.stack(), answer.promptTokens(), tokens.subList(0, Math.min(mostSteps, tokens.size())));
    }

    /** The number of texts that the engine, left to itself, generates as transformers does. */
    private int answersOfTheEngine(Model model, Weights weights) throws Exception {
        EngineOptions.Builder options = options(weights, SEQUENCES);
        adapters(model).forEach(options::adapter);
        int equal = 0;
        try (InferenceEngine engine = LlamaCppEngine.open(options.build())) {
            List<CompletableFuture<CompletionResult>> results = new ArrayList<>();
            List<Answer> answers = model.expected().oneOfEachPrompt();
            for (Answer answer : answers) {
                results.add(engine.submit(new CompletionRequest(
                        Prompt.withControlTokens(answer.prompt()),
                        AdapterStack.parse(answer.stack()),
                        SamplingOptions.greedy(),
                        answer.steps().size(),
                        List.of(),
                        CompletionRequest.DEFAULT_TIMEOUT)));
            }
            for (int index = 0; index < results.size(); index++) {
                Answer answer = answers.get(index);
                String text = results.get(index).get(5, TimeUnit.MINUTES).text();
                boolean same = text.equals(answer.text());
                equal += same ? 1 : 0;
                if (!same) {
                    System.out.printf(
                            "    prompt %d, stack '%s': expected %s, but the engine answers %s%n",
                            answer.number(), answer.stack(), answer.text(), text);
                }
            }
        }
        System.out.printf("    %s, %s: %d texts of the engine equal%n", model.name(), weights.name(), equal);
        return equal;
    }

    @Test
    void smolLm2HasTheTokensOfItsTokenizer() {
        compareTokens("smollm2-135m-instruct", RealModels.smolLm2());
    }

    @Test
    void gemma3HasTheTokensOfItsTokenizer() {
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
