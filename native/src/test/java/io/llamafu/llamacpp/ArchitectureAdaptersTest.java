package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.docs.ModelsGuide;
import io.llamafu.docs.ModelsGuide.Column;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.Await;
import io.llamafu.testing.Programs;
import io.llamafu.testing.RandomAdapter;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * Adapters of everything that adapters can change, in every family of architectures: they are applied or refused, and
 * each sequence gets its own.
 */
class ArchitectureAdaptersTest {
    private static final String DECODERS = "io.llamafu.testing.ArchitectureModel#decoders";
    /** Compiled from {@code src/test/cpp/lora_parity.cpp} with the library. */
    private static final Path PARITY = Path.of("target", "native", "cmake", "lora_parity");

    /** So short that it is computed alike whatever else is in the batch. */
    private static final String PROMPT = "What is the answer to it?";

    private static final List<String> STACKS =
            List.of("", "first", "second", "first:0.5+second", "second:-0.7", "first+second:0.3");

    @TempDir
    Path folder;

    private Path adapters;

    @BeforeEach
    void createFolder() throws IOException {
        adapters = Files.createDirectory(folder.resolve("adapters"));
    }

    /** The linear tensors of a model, and those of them that an adapter may change. */
    private record Targets(Map<String, List<Long>> linear, Set<String> refused) {
        Map<String, List<Long>> accepted() {
            Map<String, List<Long>> accepted = new LinkedHashMap<>(linear);
            accepted.keySet().removeAll(refused);
            return accepted;
        }

        /** Those of each kind, such as attn_q, in all layers. */
        Map<String, Map<String, List<Long>>> acceptedByKind() {
            Map<String, Map<String, List<Long>>> kinds = new TreeMap<>();
            accepted().forEach((name, dimensions) -> kinds.computeIfAbsent(kind(name), kind -> new LinkedHashMap<>())
                    .put(name, dimensions));
            return kinds;
        }

        /** Kinds, and single tensors of kinds that are accepted in other layers. */
        Set<String> refusedKinds() {
            Set<String> accepted = acceptedByKind().keySet();
            return refused.stream()
                    .map(name -> accepted.contains(kind(name)) ? name.replace(".weight", "") : kind(name))
                    .collect(Collectors.toCollection(TreeSet::new));
        }

        private static String kind(String tensor) {
            return tensor.replaceFirst("^blk\\.\\d+\\.", "").replaceFirst("\\.weight$", "");
        }
    }

    private Targets targets(ArchitectureModel architecture, Path model) throws IOException {
        Map<String, List<Long>> linear = new LinkedHashMap<>(architecture.tensors());
        linear.entrySet().removeIf(tensor -> !isLinear(tensor.getKey(), tensor.getValue()));
        Path everything = folder.resolve("everything.gguf");
        write(everything, architecture, linear, 0);
        EngineOptions options = RandomAnswers.options(model).build();
        try (LlamaModel loaded = LlamaModel.load(options);
                LlamaContext context = context(loaded, options)) {
            CompatibilityReport report =
                    AdapterCompatibility.check(gguf(model, GgufKind.MODEL), adapter(everything), context.refusals());
            assertThat(report.reasons())
                    .allMatch(reason -> reason.code() == ErrorCode.ADAPTER_INCOMPATIBLE)
                    .allMatch(reason -> linear.containsKey(reason.subject()));
            Set<String> refused = report.reasons().stream()
                    .map(CompatibilityReport.Reason::subject)
                    .collect(Collectors.toCollection(LinkedHashSet::new));
            return new Targets(linear, refused);
        }
    }

    private static boolean isLinear(String name, List<Long> dimensions) {
        return name.endsWith(".weight") && !name.contains("norm") && dimensions.size() > 1 && dimensions.get(1) > 1;
    }

    private static LlamaContext context(LlamaModel model, EngineOptions options) {
        return LlamaContext.create(
                model,
                RandomAnswers.CONTEXT,
                options.parallelSequences(),
                options.batchSize(),
                options.threads(),
                true,
                options.deterministic());
    }

    private static GgufFile gguf(Path file, GgufKind kind) {
        return GgufReader.read(file, kind);
    }

    private static GgufFile adapter(Path file) {
        return gguf(file, GgufKind.ADAPTER);
    }

    private Path write(String name, ArchitectureModel architecture, Map<String, List<Long>> targets, long seed)
            throws IOException {
        return write(adapters.resolve(name + ".gguf"), architecture, targets, seed);
    }

    /** Strong enough to change every answer. */
    private static Path write(Path file, ArchitectureModel architecture, Map<String, List<Long>> targets, long seed)
            throws IOException {
        return new RandomAdapter(
                        architecture.architecture(), tensor -> 4, OptionalDouble.of(8), GgufTensorType.F32, 0.15, seed)
                .write(file, targets);
    }

    @ParameterizedTest
    @MethodSource(DECODERS)
    void everyLinearTensorIsChangedOrRefused(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        Targets targets = targets(architecture, model);
        write("possible", architecture, targets.accepted(), 1);
        write("everything", architecture, targets.linear(), 1);

        try (InferenceEngine engine = LlamaCppEngine.open(
                RandomAnswers.options(model).adapters(adapters).build())) {
            assertThat(engine.preload(AdapterStack.of("possible")).get()).hasSize(1);
            if (!targets.refused().isEmpty()) {
                assertFails(
                        () -> engine.preload(AdapterStack.of("everything")).get(),
                        ErrorCode.ADAPTER_INCOMPATIBLE,
                        targets.refused().iterator().next());
            }
        }
        ModelsGuide.assertSays(
                architecture, Column.TARGETS, list(targets.acceptedByKind().keySet()));
        ModelsGuide.assertSays(architecture, Column.REFUSED, list(targets.refusedKinds()));
    }

    private static String list(Set<String> names) {
        return names.isEmpty()
                ? "-"
                : names.stream().map(name -> "`" + name + "`").collect(Collectors.joining(", "));
    }

    /** One adapter for each kind of tensor, so that none can be left out unnoticed, and some of all together. */
    @ParameterizedTest
    @MethodSource(DECODERS)
    void mixedBatchHasTheLogitsOfUpstreamForEachStackAlone(ArchitectureModel architecture) throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        Path model = architecture.write(folder);
        Targets targets = targets(architecture, model);
        List<String> command = new ArrayList<>(List.of(PARITY.toAbsolutePath().toString(), model.toString()));
        for (Map.Entry<String, Map<String, List<Long>>> kind :
                targets.acceptedByKind().entrySet()) {
            command.add(write(kind.getKey(), architecture, kind.getValue(), 1).toString());
        }
        for (int seed = 2; seed < 5; seed++) {
            command.add(
                    write("all" + seed, architecture, targets.accepted(), seed).toString());
        }

        String output = Programs.run(command);

        System.out.printf("%s: %s", architecture, output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }

    @ParameterizedTest
    @MethodSource(DECODERS)
    void mixedBatchAnswersLikeOneDecodeForEachStack(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        Map<String, List<Long>> targets = targets(architecture, model).accepted();
        write("first", architecture, targets, 1);
        write("second", architecture, targets, 2);

        List<String> mixed = answers(model, LoraBatching.MIXED);
        List<String> grouped = answers(model, LoraBatching.GROUPED);

        assertThat(Set.copyOf(grouped)).hasSizeGreaterThan(3);
        for (int i = 0; i < mixed.size(); i++) {
            String expected = grouped.get(i);
            List<String> others =
                    grouped.stream().filter(other -> !other.equals(expected)).toList();
            RandomAnswers.assertIsRatherThan(mixed.get(i), expected, others);
        }
        ModelsGuide.assertSays(architecture, Column.MIXED_BATCH, "yes");
    }

    private List<String> answers(Path model, LoraBatching batching) throws Exception {
        EngineOptions options = RandomAnswers.options(model)
                .adapters(adapters)
                .parallelSequences(STACKS.size())
                .loraBatching(batching)
                .build();
        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            assertThat(engine.preload(AdapterStack.parse("first+second")).get()).hasSize(2);
            List<CompletableFuture<CompletionResult>> answers = STACKS.stream()
                    .map(stack -> RandomAnswers.submit(engine, PROMPT, stack, 16))
                    .toList();
            List<String> texts = new ArrayList<>();
            for (CompletableFuture<CompletionResult> answer : answers) {
                texts.add(RandomAnswers.get(answer).text());
            }
            return texts;
        }
    }

    @ParameterizedTest
    @MethodSource(DECODERS)
    void newVersionIsUsedWhileTheOldOneStillAnswers(ArchitectureModel architecture) throws Exception {
        int tokens = 120;
        Path model = architecture.write(folder);
        Map<String, List<Long>> targets = targets(architecture, model).accepted();
        Path first = write("first", architecture, targets, 1);
        Path second = write("second", architecture, targets, 2);
        publish(first);
        EngineOptions options = RandomAnswers.options(model)
                .adapters(adapters)
                .adapterRefreshInterval(Duration.ZERO)
                .build();

        try (InferenceEngine engine = LlamaCppEngine.open(options)) {
            CompletionResult ofTheFirst = RandomAnswers.ask(engine, PROMPT, "first", tokens);
            CompletionResult ofTheSecond = RandomAnswers.ask(engine, PROMPT, "second", tokens);
            assertThat(ofTheFirst.text()).isNotEqualTo(ofTheSecond.text());
            long before = engine.metrics().decoding().generatedTokens();
            CompletableFuture<CompletionResult> old = RandomAnswers.submit(engine, PROMPT, "swapped", tokens);
            Await.until("its first token", () -> engine.metrics().decoding().generatedTokens() > before);

            publish(second);
            CompletableFuture<CompletionResult> next = RandomAnswers.submit(engine, PROMPT, "swapped", tokens);
            CompletableFuture<CompletionResult> base = RandomAnswers.submit(engine, PROMPT, "", tokens);

            assertIsRatherThan(RandomAnswers.get(old), ofTheFirst, ofTheSecond);
            assertIsRatherThan(RandomAnswers.get(next), ofTheSecond, ofTheFirst);
            assertThat(RandomAnswers.get(base).text()).isNotIn(ofTheFirst.text(), ofTheSecond.text());
        }
        ModelsGuide.assertSays(architecture, Column.NEW_VERSION, "yes");
    }

    private void publish(Path version) throws IOException {
        Path part = Files.copy(version, adapters.resolve("swapped.part"));
        Files.move(part, adapters.resolve("swapped.gguf"), StandardCopyOption.ATOMIC_MOVE);
    }

    private static void assertIsRatherThan(CompletionResult answer, CompletionResult expected, CompletionResult other) {
        assertThat(answer.adapters().get(0).digest())
                .isEqualTo(expected.adapters().get(0).digest());
        RandomAnswers.assertIsRatherThan(answer.text(), expected.text(), List.of(other.text()));
    }

    /** Adapters of experts are part of the graph, which grows with each. */
    @ParameterizedTest
    @MethodSource(DECODERS)
    void adaptersInUseNeedLittleMoreMemoryThanForetold(ArchitectureModel architecture) throws Exception {
        Path model = architecture.write(folder);
        Path file = write("first", architecture, targets(architecture, model).accepted(), 1);
        EngineOptions options = RandomAnswers.options(model).build();
        EngineMetrics.Memory foretold = LlamaModel.memoryNeeded(options, RandomAnswers.CONTEXT);
        AdapterInfo info = AdapterInfo.of(adapter(file));

        try (LlamaModel loaded = LlamaModel.load(options);
                LlamaAdapter adapter = LlamaAdapter.load(loaded, file, info, true, () -> {});
                LlamaContext context = context(loaded, options)) {
            context.setAdapters(0, List.of(new ScaledAdapter(adapter, 1)));
            context.batch().clear();
            for (int position = 0; position < options.batchSize(); position++) {
                context.batch().add(5, position, 0, position == options.batchSize() - 1);
            }
            assertThat(context.decode()).isTrue();

            EngineMetrics.Memory allocated = context.memory();
            System.out.printf("%s: foretold %s, with an adapter %s%n", architecture, foretold, allocated);
            assertThat(allocated.total()).isCloseTo(foretold.total(), Percentage.withPercentage(5));
        }
    }
}
