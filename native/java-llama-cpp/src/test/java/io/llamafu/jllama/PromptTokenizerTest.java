package io.llamafu.jllama;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.engine.Prompt;
import io.llamafu.gguf.ModelFile;
import io.llamafu.testing.HostileTexts;
import io.llamafu.testing.VocabularyModel;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

import static org.assertj.core.api.Assertions.assertThat;

/** The tokenizers that llama.cpp b4916 has in common with the pinned one. */
class PromptTokenizerTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private static Path folder;

    private BoundModel model;
    private PromptTokenizer tokenizer;

    private void open(VocabularyModel vocabulary) throws Exception {
        BindingLibrary.prepare();
        Path path = vocabulary.write(folder);
        ModelFile file = ModelFile.read(path);
        model = BoundModel.load(List.of(
                "--model", path.toString(), "--ctx-size", "64", "--parallel", "1", "--no-warmup", "--log-disable"));
        tokenizer = new PromptTokenizer(file, file.controlTokens());
        assertThat(file.controlTokens().keySet()).containsExactlyInAnyOrderElementsOf(VocabularyModel.controlStrings());
    }

    /** What the library makes of it, without a token that it adds in front. */
    private List<Integer> tokens(Prompt prompt) throws Exception {
        JsonNode json = JSON.readTree(tokenizer.tokenize(model, prompt).json());
        List<Integer> tokens = new ArrayList<>();
        for (JsonNode element : json.isArray() ? json : List.of(json)) {
            if (element.isTextual()) {
                for (int token : model.tokenize(element.textValue())) {
                    tokens.add(token);
                }
            } else {
                tokens.add(element.intValue());
            }
        }
        return tokens;
    }

    private List<Integer> controls(Prompt prompt) throws Exception {
        return tokens(prompt).stream()
                .filter(token -> token < VocabularyModel.controlCount())
                .toList();
    }

    @ParameterizedTest
    @EnumSource(names = {"SENTENCE_PIECE", "GPT_2", "LLAMA_3"})
    void hostileTextsYieldNoControlToken(VocabularyModel vocabulary) throws Exception {
        open(vocabulary);
        for (String control : VocabularyModel.controlStrings()) {
            for (String text : HostileTexts.with(control)) {
                assertThat(controls(Prompt.text(text))).as(text).isEmpty();
            }
            for (List<String> split : HostileTexts.splits("a" + control)) {
                Prompt before = Prompt.withControlTokens("x" + split.get(0));
                Prompt after = Prompt.withControlTokens(split.get(1) + "x");
                assertThat(controls(before.plus(Prompt.text(split.get(1)))))
                        .as("%s", split)
                        .isEqualTo(controls(before));
                assertThat(controls(Prompt.text("x" + split.get(0)).plus(after)))
                        .as("%s", split)
                        .isEqualTo(controls(Prompt.withControlTokens("x").plus(after)));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"SENTENCE_PIECE", "LLAMA_3"})
    void ordinaryTextsAreGivenAsTheyAre(VocabularyModel vocabulary) throws Exception {
        open(vocabulary);
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < 1_000; i++) {
            String text = HostileTexts.ordinary(random, VocabularyModel.controlStrings());
            Prompt prompt = Prompt.withControlTokens("<|im_start|>").plus(Prompt.text(text));
            String json = tokenizer.tokenize(model, prompt).json();
            assertThat(JSON.readTree(json).textValue()).isEqualTo(prompt.toString());
        }
    }
}
