package io.llamafu.llamacpp;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.testing.ArchitectureModel;
import io.llamafu.testing.Programs;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/**
 * For every pre-tokenizer of the pinned llama.cpp, texts get the tokens of its own regular expressions, and runs of
 * 64,000 equal characters of any kind neither overflow a small stack nor change. {@code src/test/cpp/split_parity.cpp}
 * compares them in a separate process, so that a crash is a failed test.
 */
class PreTokenizerTest {
    private static final Path PROGRAM = Path.of("target", "native", "cmake", "split_parity");
    private static final Pattern NAME_AND_KIND =
            Pattern.compile("tokenizer_pre == \"([^\"]+)\"\\) \\{\\s+pre_type = (LLAMA_VOCAB_PRE_TYPE_\\w+);");
    private static final Pattern DECLARED = Pattern.compile("(LLAMA_VOCAB_PRE_TYPE_\\w+) *=");
    /** Declared, but without a name. */
    private static final List<String> UNNAMED =
            List.of("LLAMA_VOCAB_PRE_TYPE_CHATGLM3", "LLAMA_VOCAB_PRE_TYPE_LLAMA4", "LLAMA_VOCAB_PRE_TYPE_PIXTRAL");

    @Test
    void everyPreTokenizerSplitsAsUpstreamDoesAndSurvivesLongRuns() throws Exception {
        assumeThat(NativeLibrary.isPackaged())
                .as("the native library was built")
                .isTrue();
        assertThat(PROGRAM).isExecutable();
        Path source = Path.of(Programs.run("./fetch-llama-cpp.sh").strip()).resolve("src");
        Map<String, String> nameByKind = nameByKind(Files.readString(source.resolve("llama-vocab.cpp")));
        List<String> expected = new ArrayList<>(UNNAMED);
        expected.addAll(nameByKind.keySet());
        assertThat(DECLARED.matcher(Files.readString(source.resolve("llama-vocab.h")))
                        .results()
                        .map(match -> match.group(1)))
                .isNotEmpty()
                .containsExactlyInAnyOrderElementsOf(expected);

        List<String> command = new ArrayList<>(List.of(PROGRAM.toAbsolutePath().toString()));
        command.addAll(nameByKind.values());
        String output = Programs.run(command);

        System.out.print(output);
        assertThat(output.stripTrailing()).endsWith("PASSED");
    }

    /** The library that engines load splits likewise; in a JVM of its own, because to overflow a stack would end it. */
    @Test
    void engineTokenizesLongRunsWhateverThePreTokenizer(@TempDir Path folder) throws Exception {
        List<String> models = new ArrayList<>();
        for (String preTokenizer : List.of("default", "falcon", "gpt-4o", "tekken", "deepseek-llm", "deepseek-v3")) {
            Path model = folder.resolve(preTokenizer + ".gguf");
            ArchitectureModel.LLAMA.writer(preTokenizer).write(model);
            models.add(model.toString());
        }

        assertThat(OwnJvm.run(PreTokenizerTest.class, models, 5)).isEqualTo("tokenized by 6 engines");
    }

    public static void main(String[] models) {
        for (String model : models) {
            EngineOptions options = EngineOptions.builder(Path.of(model))
                    .contextSize(64)
                    .parallelSequences(1)
                    .threads(1)
                    .build();
            try (InferenceEngine engine = LlamaCppEngine.open(options)) {
                for (String character : List.of("a", "!", "7", " ", "\n", "\u6f22", "\u0301")) {
                    int bytes = character.getBytes(StandardCharsets.UTF_8).length;
                    assertThat(engine.countTokens(character.repeat(64_000)))
                            .isBetween(64_000 * bytes, 64_000 * bytes + 1);
                }
            }
        }
        System.out.printf("tokenized by %d engines%n", models.length);
    }

    /** A name for each kind. */
    private static Map<String, String> nameByKind(String source) {
        Map<String, String> names = new LinkedHashMap<>();
        NAME_AND_KIND.matcher(source).results().forEach(match -> names.putIfAbsent(match.group(2), match.group(1)));
        return names;
    }
}
