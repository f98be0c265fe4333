package io.llamafu.docs;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCompatibility;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.testing.Catalogs;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

/** The errors in {@code docs/adapters.md} and {@code docs/errors.md} are those of the code. */
class AdaptersGuideTest {
    private static final Path DOCS = Path.of("../docs");
    private static final long RANK = 4;

    @TempDir
    Path folder;

    @Test
    void everyErrorCodeHasOneRowAndNoRowIsOfAnother() throws IOException {
        Matcher row = Pattern.compile("(?m)^\\| `([A-Z_]+)` \\|").matcher(Files.readString(DOCS.resolve("errors.md")));

        assertThat(row.results().map(found -> found.group(1)))
                .containsExactlyElementsOf(
                        Arrays.stream(ErrorCode.values()).map(ErrorCode::name).toList());
    }

    @Test
    void rowsOfTheGuideAreOfCodesThatThereAre() throws IOException {
        Matcher code =
                Pattern.compile("`((?!LLM_)[A-Z]+_[A-Z_]+)`").matcher(Files.readString(DOCS.resolve("adapters.md")));

        assertThat(code.results().map(found -> found.group(1)))
                .isNotEmpty()
                .isSubsetOf(
                        Arrays.stream(ErrorCode.values()).map(ErrorCode::name).toList());
    }

    @Test
    void adapterNotCompatible() throws IOException {
        assertQuoted(refusal("deep", adapter(7, 128).string("general.base_model.0.name", "Other 7B")));
    }

    @Test
    void tensorDimensionMismatch() throws IOException {
        assertQuoted(refusal("wide", adapter(0, 256)));
    }

    @Test
    void outOfMemoryWhenLoading() throws Exception {
        try (InferenceEngine engine = LlamaCppEngine.open(
                TinyModel.options().adapterMemoryBudget(160_000).build())) {
            Throwable failure = engine.submit(CompletionRequest.of("x", AdapterStack.parse("medical+legal+formal")))
                    .handle((answer, error) -> error)
                    .get();
            assertQuoted((LlamafuException) failure);
        }
    }

    @Test
    void thereIsNoAdapter() throws IOException {
        LlamafuException failure =
                catchThrowableOfType(LlamafuException.class, () -> Catalogs.resolve(TinyModel.adapters(), "medcal"));
        assertQuoted(failure.sentence().replace(TinyModel.adapters().toString(), "/models/adapters"));
    }

    @Test
    void renamedLinkPublishesAdapterAndCardTogether() throws Exception {
        Matcher commands =
                Pattern.compile("(?ms)^```sh\\n(mkdir .*?)^```").matcher(Files.readString(DOCS.resolve("adapters.md")));
        assertThat(commands.find()).isTrue();
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        Files.writeString(adapters.resolve("medical.gguf"), "old");
        Files.writeString(folder.resolve("medical.gguf"), "new");
        Files.writeString(folder.resolve("medical.json"), "{}");

        Process shell = new ProcessBuilder(
                        "bash", "-ec", commands.group(1).replace("/models/adapters", adapters.toString()))
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .start();
        String output = new String(shell.getInputStream().readAllBytes(), UTF_8);

        assertThat(shell.waitFor()).as(output).isZero();
        assertThat(adapters.resolve("medical.gguf")).hasContent("new");
        assertThat(adapters.resolve("medical.gguf").toRealPath().resolveSibling("medical.json"))
                .hasContent("{}");
    }

    private static void assertQuoted(LlamafuException failure) throws IOException {
        assertQuoted(failure.sentence());
    }

    /** As a block quote, regardless of line breaks. */
    private static void assertQuoted(String message) throws IOException {
        assertThat(quotes().map(quote -> quote.replaceAll("\\s*\\n> ?", " ").strip()))
                .contains(message);
    }

    private static Stream<String> quotes() throws IOException {
        Matcher quote = Pattern.compile("(?m)(?:^> .*\\n)+").matcher(Files.readString(DOCS.resolve("adapters.md")));
        return quote.results().map(found -> "\n" + found.group());
    }

    /** Of the query projection of a layer. */
    private static GgufWriter adapter(int layer, long width) {
        String target = "blk." + layer + ".attn_q.weight";
        return new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "llama")
                .string("adapter.type", "lora")
                .tensor(target + ".lora_a", GgufTensorType.F16, List.of(width, RANK), zeros(width * RANK))
                .tensor(target + ".lora_b", GgufTensorType.F16, List.of(RANK, 128L), zeros(RANK * 128));
    }

    private static GgufTensorData zeros(long count) {
        return GgufTensorData.constant(GgufTensorType.F16, count, 0);
    }

    private LlamafuException refusal(String name, GgufWriter writer) throws IOException {
        Path file = folder.resolve(name + ".gguf");
        writer.write(file);
        GgufFile base = GgufReader.read(TinyModel.model(), GgufKind.MODEL);
        GgufFile adapter = GgufReader.read(file, GgufKind.ADAPTER);
        return catchThrowableOfType(LlamafuException.class, () -> AdapterCompatibility.check(base, adapter)
                .requireCompatible(name));
    }
}
