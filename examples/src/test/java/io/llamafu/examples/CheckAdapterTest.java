package io.llamafu.examples;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

class CheckAdapterTest {
    private static final Path EXAMPLES = Path.of(System.getProperty("basedir", "."));
    private static final Path MODEL = EXAMPLES.resolve("models/tiny-notes-q8_0.gguf");
    private static final Path FINANCE = EXAMPLES.resolve("models/adapters/finance.gguf");

    private final StringWriter output = new StringWriter();

    @TempDir
    private Path folder;

    @Test
    void acceptedAdapterIsDescribedAndCompared() throws IOException {
        Path texts = folder.resolve("texts.jsonl");
        Files.write(
                texts,
                Files.readAllLines(EXAMPLES.resolve("data/tickets.jsonl")).stream()
                        .filter(line -> line.contains("\"expectedStack\": \"finance\""))
                        .limit(20)
                        .toList());

        assertThat(run(FINANCE, "--eval", texts.toString(), "--prompt-template", "### Text:\n{text}\n### Answer:\n"))
                .isZero();

        assertThat(output.toString())
                .containsPattern("sha256 +[0-9a-f]{64}\n")
                .containsPattern("architecture +llama\n")
                .containsPattern("rank +4\n")
                .containsPattern("memory +71680 bytes\n")
                .endsWith("accepted\n");
        assertThat(right("adapter")).isGreaterThanOrEqualTo(18);
        assertThat(right("base")).isLessThanOrEqualTo(2);
    }

    private int right(String stack) {
        Matcher score = Pattern.compile(stack + " +(\\d+) of 20 right").matcher(output.toString());
        assertThat(score.find()).isTrue();
        return Integer.parseInt(score.group(1));
    }

    @Test
    void allReasonsAreSaidAtOnce() throws IOException {
        Path wrong = folder.resolve("wrong name.gguf");
        adapter("tiny-other").write(wrong);
        Files.writeString(folder.resolve("wrong name.json"), "{\"scale\": 1}");

        assertThat(run(wrong)).isEqualTo(1);

        assertThat(output.toString())
                .containsPattern("trained on +tiny-other, but the model is tiny-notes")
                .contains(
                        "refused\n",
                        "its file name: expected NAME.gguf",
                        "ADAPTER_INCOMPATIBLE layers: expected 4",
                        "ADAPTER_INCOMPATIBLE blk.9.attn_q.weight: expected a tensor of the base model",
                        "ADAPTER_INVALID blk.0.attn_k.weight.lora_b: expected rank 4",
                        "ADAPTER_INVALID blk.0.attn_q.weight.lora_a: expected finite weights",
                        "ADAPTER_INVALID The file wrong name.json")
                .doesNotContain("accepted");
    }

    @Test
    void fileThatIsNoAdapterIsRefusedWithItsCode() throws IOException {
        Path text = Files.writeString(folder.resolve("notes.gguf"), "no adapter");
        assertThat(run(text)).isEqualTo(1);
        assertThat(output.toString()).contains("refused\n", "ADAPTER_INVALID The adapter");
    }

    @Test
    void fileThatIsMissingIsRefusedWithItsCode() {
        assertThat(run(folder.resolve("missing.gguf"))).isEqualTo(1);
        assertThat(output.toString()).contains("refused\n", "ADAPTER_NOT_FOUND");
    }

    /** Apart from the figures that depend on the machine. */
    @Test
    void outputOfTheGuideIsThatOfItsAdapter() throws IOException {
        assertThat(run(FINANCE)).isZero();
        String guide = Files.readString(EXAMPLES.resolve("../docs/adapters.md"));
        assertThat(output.toString().lines().skip(2))
                .allSatisfy(line -> assertThat(guide).contains(line + "\n"));
    }

    @Test
    void convertedAdapterNamesItsBase() {
        Path medical = folder.resolve("medical.gguf");
        assertThat(ConvertPeft.commandLine()
                        .execute(
                                EXAMPLES.resolve("models/medical-peft").toString(),
                                medical.toString(),
                                "--base",
                                MODEL.toString()))
                .isZero();

        assertThat(run(medical)).isZero();
        assertThat(output.toString()).containsPattern("trained on +tiny-notes\n");
    }

    private static GgufWriter adapter(String base) {
        return new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "llama")
                .uint32("general.base_model.count", 1)
                .string("general.base_model.0.name", base)
                .string("adapter.type", "lora")
                .tensor(
                        "blk.0.attn_q.weight.lora_a",
                        GgufTensorType.F32,
                        List.of(128L, 4L),
                        GgufTensorData.constant(GgufTensorType.F32, 128 * 4, Float.NaN))
                .tensor("blk.0.attn_q.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(4 * 128))
                .tensor("blk.0.attn_k.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), zeros(128 * 4))
                .tensor("blk.0.attn_k.weight.lora_b", GgufTensorType.F16, List.of(8L, 64L), zeros(8 * 64))
                .tensor("blk.9.attn_q.weight.lora_a", GgufTensorType.F16, List.of(128L, 4L), zeros(128 * 4))
                .tensor("blk.9.attn_q.weight.lora_b", GgufTensorType.F16, List.of(4L, 128L), zeros(4 * 128));
    }

    private static GgufTensorData zeros(long count) {
        return GgufTensorData.constant(GgufTensorType.F16, count, 0);
    }

    private int run(Path file, String... options) {
        List<String> arguments =
                new ArrayList<>(List.of(file.toString(), "--model", MODEL.toString(), "--threads", "1"));
        arguments.addAll(Arrays.asList(options));
        return new CommandLine(new CheckAdapter())
                .setOut(new PrintWriter(output, true))
                .execute(arguments.toArray(new String[0]));
    }
}
