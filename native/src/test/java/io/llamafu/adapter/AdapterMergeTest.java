package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWeights;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.RandomAdapter;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class AdapterMergeTest {
    @TempDir
    Path folder;

    private Path adapters;
    private Path out;
    private Path model;

    @BeforeEach
    void writeModel() throws IOException {
        adapters = Files.createDirectory(folder.resolve("adapters"));
        out = adapters.resolve("merged.gguf");
        model = ArchitectureModel.LLAMA.write(folder);
    }

    /** Ranks. */
    private static int attention(String matrix) {
        return matrix.contains("attn") ? 4 : 0;
    }

    private static int mixed(String matrix) {
        return matrix.contains("ffn") ? 3 : matrix.contains("attn_q") ? 8 : 0;
    }

    private static Map<String, List<Long>> matrices(ArchitectureModel architecture) {
        return architecture.tensors().entrySet().stream()
                .filter(tensor ->
                        tensor.getValue().size() > 1 && tensor.getKey().endsWith(".weight"))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue, (a, b) -> a, TreeMap::new));
    }

    private void write(String name, ToIntFunction<String> rank, double alpha, GgufTensorType type, long seed)
            throws IOException {
        new RandomAdapter("llama", rank, OptionalDouble.of(alpha), type, 0.1, seed)
                .write(adapters.resolve(name + ".gguf"), matrices(ArchitectureModel.LLAMA));
    }

    private AdapterMerge.Merged merge(String stack, GgufTensorType type) {
        return AdapterMerge.merge(AdapterStack.parse(stack), LocalAdapters.of(adapters), model, out, type);
    }

    /** The matrix that a stack adds to a matrix of the model, row by row. */
    private double[] delta(String stack, String target) {
        double[] sum = null;
        for (AdapterStack.Entry entry : AdapterStack.parse(stack).entries()) {
            GgufFile file = GgufReader.read(adapters.resolve(entry.name() + ".gguf"), GgufKind.ADAPTER);
            if (file.findTensor(target + ".lora_a").isEmpty()) {
                continue;
            }
            GgufTensor a = file.findTensor(target + ".lora_a").orElseThrow();
            GgufTensor b = file.findTensor(target + ".lora_b").orElseThrow();
            double alpha = file.findFloat("adapter.lora.alpha").orElse(0.0);
            int rank = (int) b.dimension(0);
            double factor = entry.scale().orElseThrow() * (alpha == 0 ? 1 : alpha / rank);
            double[] product = product(values(file, a), values(file, b), a, b, factor);
            sum = sum == null ? product : plus(sum, product);
        }
        return sum;
    }

    private static float[] values(GgufFile file, GgufTensor tensor) {
        try (GgufWeights weights = GgufWeights.open(file)) {
            float[] values = new float[(int) tensor.elements()];
            weights.read(tensor, 0, values, 0, values.length);
            return values;
        }
    }

    /** For each expert, or one: B times A. */
    private static double[] product(float[] a, float[] b, GgufTensor shapeOfA, GgufTensor shapeOfB, double factor) {
        boolean transposed = shapeOfA.name().startsWith("token_embd");
        int rank = (int) shapeOfB.dimension(0);
        int inputs = (int) shapeOfA.dimension(transposed ? 1 : 0);
        int outputs = (int) shapeOfB.dimension(1);
        int experts = (int) shapeOfA.dimension(2);
        double[] product = new double[experts * outputs * inputs];
        for (int index = 0; index < product.length; index++) {
            int column = index % inputs;
            int row = index / inputs % outputs;
            int expert = index / inputs / outputs;
            for (int r = 0; r < rank; r++) {
                int inA = transposed ? column * rank + r : (expert * rank + r) * inputs + column;
                product[index] += factor * b[(expert * outputs + row) * rank + r] * a[inA];
            }
        }
        return product;
    }

    private static double[] plus(double[] one, double[] other) {
        double[] sum = one.clone();
        for (int index = 0; index < sum.length; index++) {
            sum[index] += other[index];
        }
        return sum;
    }

    private void assertSameEffect(String stack, double tolerance) {
        GgufFile merged = GgufReader.read(out, GgufKind.ADAPTER);
        TreeSet<String> targets = new TreeSet<>();
        merged.tensors().keySet().forEach(name -> targets.add(name.substring(0, name.length() - ".lora_a".length())));
        for (String target : targets) {
            double[] expected = delta(stack, target);
            double[] actual = delta("merged:1.0", target);
            double most = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
            assertThat(most).as(target).isPositive();
            for (int index = 0; index < expected.length; index++) {
                assertThat(actual[index]).as(target).isCloseTo(expected[index], within(tolerance * most));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "one:0.8+two:0.5, F32, 1e-6",
        "one:0.8+two:0.5, F16, 1e-3",
        "one:1.0+two:-0.7, F32, 1e-6",
        "one:-2.0+two:-0.25+three:30.0, F32, 1e-6",
        "one:0.001+three:100.0, F32, 1e-6",
        "two:0.3+three:1.5, F16, 1e-3"
    })
    void theMergedAdapterAtScaleOneIsTheStack(String stack, GgufTensorType type, double tolerance) throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", AdapterMergeTest::mixed, -5, GgufTensorType.F32, 2);
        write("three", name -> name.contains("attn") ? 2 : 1, 0, GgufTensorType.BF16, 3);

        AdapterMerge.Merged merged = merge(stack, type);

        assertSameEffect(stack, tolerance);
        assertThat(merged.notes()).isEmpty();
        assertThat(merged.published().digest()).isEqualTo(Sha256.of(out));
    }

    @Test
    void theRankOfAMatrixIsTheSumOfThoseThatChangeIt() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", AdapterMergeTest::mixed, 6, GgufTensorType.F16, 2);

        AdapterMerge.Merged merged = merge("one:1.0+two:1.0", GgufTensorType.F16);

        GgufFile file = GgufReader.read(out, GgufKind.ADAPTER);
        assertThat(file.findTensor("blk.0.attn_q.weight.lora_b").orElseThrow().dimensions())
                .containsExactly(12L, 64L);
        assertThat(file.findTensor("blk.0.attn_q.weight.lora_a").orElseThrow().dimensions())
                .containsExactly(64L, 12L);
        assertThat(file.findTensor("blk.0.attn_v.weight.lora_a").orElseThrow().dimensions())
                .containsExactly(64L, 4L);
        assertThat(file.findTensor("blk.0.ffn_up.weight.lora_a").orElseThrow().dimensions())
                .containsExactly(64L, 3L);
        assertThat(merged.published().info().ranks()).containsExactly(3L, 4L, 12L);
    }

    /** Blocks of Q8_0 fill whole rows, so the ranks are multiples of 32. */
    @Test
    void quantizedAdaptersCanBeMerged() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", name -> name.contains("attn_q") || name.contains("ffn_up") ? 32 : 0, 64, GgufTensorType.Q8_0, 2);

        merge("one:0.5+two:0.5", GgufTensorType.F32);

        assertSameEffect("one:0.5+two:0.5", 1e-6);
    }

    @Test
    void embeddingsAndOutputCanBeMerged() throws IOException {
        write("one", name -> name.startsWith("blk") ? 0 : 4, 16, GgufTensorType.F32, 1);
        write("two", name -> name.startsWith("blk") ? 0 : 5, 16, GgufTensorType.F32, 2);

        merge("one:0.5+two:-0.5", GgufTensorType.F32);

        assertThat(GgufReader.read(out, GgufKind.ADAPTER).tensors()).hasSize(4);
        assertSameEffect("one:0.5+two:-0.5", 1e-6);
    }

    @Test
    void expertsAreMergedOneByOne() throws IOException {
        model = ArchitectureModel.QWEN3MOE.write(folder);
        for (int seed = 1; seed <= 2; seed++) {
            int rank = 2 + seed;
            new RandomAdapter(
                            "qwen3moe",
                            name -> name.contains("exps") ? rank : 0,
                            OptionalDouble.of(9),
                            GgufTensorType.F32,
                            0.1,
                            seed)
                    .write(adapters.resolve(seed == 1 ? "one.gguf" : "two.gguf"), matrices(ArchitectureModel.QWEN3MOE));
        }

        merge("one:0.5+two:1.5", GgufTensorType.F32);

        assertThat(GgufReader.read(out, GgufKind.ADAPTER)
                        .findTensor("blk.0.ffn_up_exps.weight.lora_a")
                        .orElseThrow()
                        .dimensions())
                .containsExactly(64L, 7L, 4L);
        assertSameEffect("one:0.5+two:1.5", 1e-6);
    }

    /** Its scale is in the alpha, so no weight is rounded. */
    @Test
    void aSingleAdapterKeepsItsWeights() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);

        merge("one:0.25", GgufTensorType.F16);

        GgufFile one = GgufReader.read(adapters.resolve("one.gguf"), GgufKind.ADAPTER);
        GgufFile merged = GgufReader.read(out, GgufKind.ADAPTER);
        assertThat(merged.findFloat("adapter.lora.alpha")).contains(4.0);
        assertThat(merged.tensors()).containsOnlyKeys(one.tensors().keySet());
        for (GgufTensor tensor : one.tensors().values()) {
            assertThat(values(merged, merged.findTensor(tensor.name()).orElseThrow()))
                    .isEqualTo(values(one, tensor));
        }
    }

    @Test
    void theCardAndTheFileSayWhatWasMerged() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", AdapterMergeTest::mixed, 6, GgufTensorType.F16, 2);
        Files.writeString(adapters.resolve("two.json"), "{\"defaultScale\": 0.5}");

        AdapterMerge.Merged merged = merge("one:0.8+two", GgufTensorType.F16);

        String one = Sha256.of(adapters.resolve("one.gguf"));
        String two = Sha256.of(adapters.resolve("two.gguf"));
        assertThat(AdapterCard.parse(Files.readAllBytes(adapters.resolve("merged.json")), "merged"))
                .isEqualTo(merged.card())
                .isEqualTo(new AdapterCard(
                        "Merged from one:0.8 (sha256 %s) + two:0.5 (sha256 %s)"
                                .formatted(one.substring(0, 12), two.substring(0, 12)),
                        1,
                        List.of()));
        assertThat(GgufReader.read(out, GgufKind.ADAPTER)
                        .array("llamafu.merged_from")
                        .count())
                .isEqualTo(2);
        assertThat(Files.readString(out, ISO_8859_1)).contains("one:0.8 " + one, "two:0.5 " + two);
    }

    @Test
    void adaptersAtScaleZeroAreLeftOut() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", AdapterMergeTest::mixed, 6, GgufTensorType.F16, 2);

        assertThat(merge("one:0.8+two:0.0", GgufTensorType.F16).notes())
                .containsExactly("'two' has the scale 0 and was left out.");
        assertSameEffect("one:0.8", 1e-6);

        assertFails(
                () -> merge("one:0.0+two:-0.0", GgufTensorType.F16),
                ErrorCode.INVALID_REQUEST,
                "Every scale of the stack 'one:0.0+two:-0.0' is 0");
    }

    @Test
    void aDifferenceOfTheNamedBasesIsNoted() throws IOException {
        String[] bases = {"Llama 3.2 1B", "Other 7B"};
        for (int place = 0; place < 2; place++) {
            new RandomAdapter(
                            "llama", AdapterMergeTest::attention, OptionalDouble.of(4), GgufTensorType.F16, 0.1, place)
                    .writer(matrices(ArchitectureModel.LLAMA))
                    .uint32("general.base_model.count", 1)
                    .string("general.base_model.0.name", bases[place])
                    .write(adapters.resolve("adapter" + place + ".gguf"));
        }

        assertThat(merge("adapter0:1.0+adapter1:1.0", GgufTensorType.F16).notes())
                .containsExactly(
                        "The adapters name different models that they were trained on: Llama 3.2 1B, Other 7B.");
        assertThat(GgufReader.read(out, GgufKind.ADAPTER).findString("general.base_model.0.name"))
                .isEmpty();
        assertThat(merge("adapter0:1.0", GgufTensorType.F16).notes()).isEmpty();
        assertThat(GgufReader.read(out, GgufKind.ADAPTER).findString("general.base_model.0.name"))
                .contains("Llama 3.2 1B");
    }

    @Test
    void whatCannotBeMergedIsRefused() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("strong", AdapterMergeTest::attention, 65_000, GgufTensorType.F16, 2);
        write("wide", name -> name.equals("blk.1.attn_v.weight") ? 4_000 : 0, 1, GgufTensorType.F16, 3);
        write("wider", name -> name.equals("blk.1.attn_v.weight") ? 97 : 0, 1, GgufTensorType.F16, 4);
        new RandomAdapter("qwen2", AdapterMergeTest::attention, OptionalDouble.of(1), GgufTensorType.F16, 0.1, 5)
                .write(adapters.resolve("other.gguf"), matrices(ArchitectureModel.LLAMA));
        Files.copy(TinyModel.adapters().resolve("medical.gguf"), adapters.resolve("medical.gguf"));

        assertRefused("", ErrorCode.INVALID_REQUEST, "nothing to merge");
        assertRefused("one+nobody", ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'nobody'");
        assertRefused("one+other", ErrorCode.ADAPTER_INCOMPATIBLE, "general.architecture: expected 'llama'");
        assertRefused("one+medical", ErrorCode.ADAPTER_INCOMPATIBLE, "for the base tensor [64 x 64]");
        assertRefused("wide+wider", ErrorCode.INVALID_REQUEST, "blk.1.attn_v.weight would have rank 4097", "4096");
        assertRefused("one+strong:100", ErrorCode.INVALID_REQUEST, "lower the scales");
    }

    @ParameterizedTest
    @EnumSource(
            value = GgufTensorType.class,
            names = {"F32", "F16"})
    void weightsThatNoEngineAcceptsAreRefused(GgufTensorType type) throws IOException {
        new RandomAdapter("llama", AdapterMergeTest::attention, OptionalDouble.of(1), GgufTensorType.F32, 1e5, 1)
                .write(adapters.resolve("one.gguf"), matrices(ArchitectureModel.LLAMA));

        assertFails(() -> merge("one", type), ErrorCode.ADAPTER_INVALID, "no finite number from -65504 to 65504");
        assertThat(out).doesNotExist();
    }

    @Test
    void activatedAdapterIsNotMerged() throws IOException {
        write("medical", AdapterMergeTest::attention, 8, GgufTensorType.F32, 1);
        new RandomAdapter("llama", AdapterMergeTest::attention, OptionalDouble.of(8), GgufTensorType.F32, 0.1, 2)
                .writer(matrices(ArchitectureModel.LLAMA))
                .uint32s("adapter.alora.invocation_tokens", new int[] {3, 4})
                .write(adapters.resolve("activated.gguf"));

        assertFails(
                () -> merge("medical:1+activated:1", GgufTensorType.F32),
                ErrorCode.INVALID_REQUEST,
                "'activated' is an activated LoRA (aLoRA)");
        assertThat(out).doesNotExist();
    }

    @Test
    void noInputIsReplaced() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        byte[] one = Files.readAllBytes(adapters.resolve("one.gguf"));
        Files.createLink(out, adapters.resolve("one.gguf"));

        assertRefused("one", ErrorCode.INVALID_OPTION, "is the input", "which would be lost");
        out = adapters.resolve("one.gguf");
        assertRefused("one", ErrorCode.INVALID_OPTION, "is the input");
        assertThat(Files.readAllBytes(out)).isEqualTo(one);
    }

    @Test
    void aFileThatIsNoCardIsNotReplaced() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        Files.writeString(adapters.resolve("merged.json"), "{\"model_type\": \"llama\"}");

        assertFails(
                () -> merge("one", GgufTensorType.F16), ErrorCode.INVALID_OPTION, "merged.json", "is no adapter card");
        assertThat(adapters.resolve("merged.json")).hasContent("{\"model_type\": \"llama\"}");
        assertThat(out).doesNotExist();
    }

    @Test
    void anEarlierVersionIsReplacedAsAWhole() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        write("two", AdapterMergeTest::mixed, 6, GgufTensorType.F16, 2);
        String first = merge("one", GgufTensorType.F16).published().digest();
        String second = merge("one:0.5+two", GgufTensorType.F16).published().digest();

        assertThat(second).isNotEqualTo(first).isEqualTo(Sha256.of(out));
        try (Stream<Path> files = Files.list(adapters)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("one.gguf", "two.gguf", "merged.gguf", "merged.json");
        }
    }

    @Test
    void aFolderThatDoesNotExistIsRefused() throws IOException {
        write("one", AdapterMergeTest::attention, 16, GgufTensorType.F16, 1);
        out = folder.resolve("nowhere/merged.gguf");

        assertFails(
                () -> merge("one", GgufTensorType.F16),
                ErrorCode.INVALID_OPTION,
                "name a file in a folder that exists");
    }

    private void assertRefused(String stack, ErrorCode code, String... message) {
        boolean existed = Files.exists(out);
        assertFails(() -> merge(stack, GgufTensorType.F16), code, message);
        assertThat(Files.exists(out)).isEqualTo(existed);
        assertThat(adapters).isDirectoryNotContaining("glob:**/.*");
    }
}
