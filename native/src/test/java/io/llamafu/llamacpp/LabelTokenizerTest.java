package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.Prompt;
import io.llamafu.llamacpp.LabelTokenizer.LabelledPrompt;
import io.llamafu.testing.RealModels;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.VocabularyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** Labels get the tokens that they have in the whole text, whatever merges where the prompt ends. */
class LabelTokenizerTest {
    private static final int MOST = 100_000;
    private static final List<String> WORDS = List.of(
            "refund",
            " refund",
            ":",
            " ",
            "  ",
            "\n",
            "\n\n",
            "travel",
            " travel",
            "12",
            "345",
            "é",
            "漢字",
            "\uD83D\uDE00",
            "'s",
            "<|im_end|>",
            "</s>",
            "Answer",
            " Answer:",
            "{\"",
            "\":",
            "...",
            "-",
            "ab",
            "a",
            "B",
            "\t");
    private static final List<String> ENDS =
            List.of("", " ", "\n", "\n### Answer:\n", " Answer:", "Answer: ", " The label is \"", "12", "re");

    private static int[] tokens(LlamaModel model, Prompt prompt) {
        return model.tokenize(prompt, prompt.toString().getBytes(UTF_8), Integer.MAX_VALUE)
                .orElseThrow();
    }

    private static void assertTokensOfTheWholeText(Path file, int prompts) {
        try (LlamaModel model = LlamaModel.load(EngineOptions.builder(file).build())) {
            LabelTokenizer tokenizer = new LabelTokenizer(model);
            Random random = new Random(7);
            for (int i = 0; i < prompts; i++) {
                String end = ENDS.get(random.nextInt(ENDS.size()));
                boolean blanks = random.nextBoolean();
                Prompt prompt = Prompt.withControlTokens(random.nextBoolean() ? "<|im_start|>user\n" : "")
                        .plus(Prompt.text(withBlanks(blanks, text(random, 2 + random.nextInt(40)) + end)));
                if (random.nextInt(4) == 0) {
                    prompt = prompt.plus(Prompt.withControlTokens("<|im_end|>\n<|im_start|>assistant\n"));
                }
                List<String> labels = new ArrayList<>();
                for (int label = 0; label < 4; label++) {
                    labels.add(text(random, 1 + random.nextInt(3)));
                }
                assertTokensOfTheWholeText(model, tokenizer, prompt, labels);
            }
        }
    }

    private static void assertTokensOfTheWholeText(
            LlamaModel model, LabelTokenizer tokenizer, Prompt prompt, List<String> labels) {
        int[] promptTokens = tokens(model, prompt);
        if (promptTokens.length < 3) {
            return; // where the only token merges with a label, there is no common beginning
        }
        LabelledPrompt labelled = tokenizer.tokenize(prompt, promptTokens, labels, MOST);
        LabelTree tree = labelled.tree();
        for (int path = 0; path < tree.size(); path++) {
            String label = labels.get(tree.label(path));
            int[] whole = Arrays.copyOf(promptTokens, labelled.head() + tree.path(path).length);
            System.arraycopy(tree.path(path), 0, whole, labelled.head(), tree.path(path).length);
            assertThat(whole)
                    .as("'%s' with '%s'", prompt, label)
                    .isEqualTo(tokens(model, prompt.plus(Prompt.text(label))));
        }
        int[] common = labelled.commonTokens(promptTokens);
        assertThat(common).isNotEmpty();
    }

    private static String withBlanks(boolean blanks, String text) {
        return blanks ? text : text.replaceAll("[ \\n]", "、");
    }

    private static String text(Random random, int words) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < words; i++) {
            text.append(WORDS.get(random.nextInt(WORDS.size())));
        }
        return text.toString();
    }

    @Test
    void sentencePieceOfTheTinyModel() {
        assertTokensOfTheWholeText(TinyModel.model(), 300);
    }

    @Test
    void bytePairsOfSmolLm2() {
        assertTokensOfTheWholeText(RealModels.smolLm2(), 300);
    }

    @Test
    void sentencePieceOfGemma3() {
        assertTokensOfTheWholeText(RealModels.gemma3(), 100);
    }

    @ParameterizedTest
    @EnumSource(
            value = VocabularyModel.class,
            names = {"HYBRID_DNA"}, // which has no tokens for most texts
            mode = EnumSource.Mode.EXCLUDE)
    void everyKindOfTokenizer(VocabularyModel kind, @TempDir Path folder) throws Exception {
        assertTokensOfTheWholeText(kind.write(folder), 50);
    }

    /** Only a tail of a long prompt is tokenized with each label, also where no blank says where words begin. */
    @ParameterizedTest
    @ValueSource(strings = {"中文文本没有空格日本語の文章も同じです。", "不", "abcdefghijklmnop0123456789é漢"})
    void promptsWithoutBlanksAreNotTokenizedForEachLabel(String alphabet) {
        for (Path file : List.of(TinyModel.model(), RealModels.smolLm2(), RealModels.gemma3())) {
            try (LlamaModel model = LlamaModel.load(EngineOptions.builder(file).build())) {
                Random random = new Random(11);
                StringBuilder text = new StringBuilder();
                while (text.length() < 8000) {
                    text.append(alphabet.charAt(random.nextInt(alphabet.length())));
                }
                Prompt prompt = Prompt.text(text.toString());
                int[] promptTokens = tokens(model, prompt);
                List<String> labels = List.of("投诉", "发票", "abc", "12", " refund");

                LabelledPrompt labelled =
                        new LabelTokenizer(model).tokenize(prompt, promptTokens, labels, Integer.MAX_VALUE);

                assertThat(labelled.tree().longest())
                        .as("%s, of %d tokens", file.getFileName(), promptTokens.length)
                        .isLessThan(200);
                assertThat(labelled.head()).isGreaterThan(promptTokens.length - 200);
                assertTokensOfTheWholeText(model, new LabelTokenizer(model), prompt, labels);
            }
        }
    }

    @Test
    void promptsOfOneTemplateShareATree() {
        try (LlamaModel model =
                LlamaModel.load(EngineOptions.builder(TinyModel.model()).build())) {
            LabelTokenizer tokenizer = new LabelTokenizer(model);
            List<String> labels = List.of("cardiology", "orthopedics");
            Prompt first = Prompt.text(TinyModel.prompt("Seen for knee pain."));
            Prompt second = Prompt.text(TinyModel.prompt("Another text, of another length."));

            LabelTree tree = tokenizer
                    .tokenize(first, tokens(model, first), labels, MOST)
                    .tree();
            assertThat(tokenizer
                            .tokenize(second, tokens(model, second), labels, MOST)
                            .tree())
                    .isSameAs(tree);
        }
    }

    @Test
    void labelThatHasNoRoomBehindThePromptIsRefused() {
        try (LlamaModel model =
                LlamaModel.load(EngineOptions.builder(TinyModel.model()).build())) {
            Prompt prompt = Prompt.text(TinyModel.prompt("Seen for knee pain."));
            int[] tokens = tokens(model, prompt);

            assertFails(
                    () -> new LabelTokenizer(model)
                            .tokenize(prompt, tokens, List.of("a", "b".repeat(40)), tokens.length + 10),
                    ErrorCode.PROMPT_TOO_LONG,
                    "with the longest label");
        }
    }
}
