package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.support.AnswerText;
import io.llamafu.grammar.JsonSchemaGrammar;
import io.llamafu.grammar.LabelGrammar;
import io.llamafu.testing.HostileTexts;
import io.llamafu.testing.VocabularyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Texts of strangers yield no control token, whatever the tokenizer; others have the tokens that llama.cpp gives them. */
class InjectionTest {
    private static final int MOST = 1_000_000;
    private static final int BEGIN_OF_SEQUENCE = 1;
    /** All control strings in the template, so that there is a border with the text of every kind. */
    private static final List<String> TEMPLATE =
            List.of("<|im_start|>user\n", "<|im_end|>\n[INST] ", " [/INST]<|user|> ", " <｜Assistant｜>");

    /**
     * SHA-256 (its beginning) of the tokens of {@link #texts ordinary texts}, computed before control tokens were kept out of
     * text.
     */
    private static final Map<VocabularyModel, String> TOKENS_OF_BEFORE = Map.ofEntries(
            Map.entry(VocabularyModel.SENTENCE_PIECE, "c7c349019e90a6ef"),
            Map.entry(VocabularyModel.SENTENCE_PIECE_OF_PHI, "55144b3bc9f18011"),
            Map.entry(VocabularyModel.GPT_2, "54698fe7801fefc4"),
            Map.entry(VocabularyModel.LLAMA_3, "9bcc5345e642d01d"),
            Map.entry(VocabularyModel.QWEN, "25f581c74978b3c3"),
            Map.entry(VocabularyModel.TEKKEN, "a006dfbe689e9a0b"),
            Map.entry(VocabularyModel.GEMMA_4, "d2e5d02101ba8ce8"),
            Map.entry(VocabularyModel.WHITESPACE, "9d70a77e364b10d7"),
            Map.entry(VocabularyModel.HYBRID_DNA, "b78bc37503c97323"),
            Map.entry(VocabularyModel.RWKV, "b89ba544dbe6171f"),
            Map.entry(VocabularyModel.PLAMO, "f538502dd60b2e3a"));

    @TempDir
    private static Path folder;

    private boolean addsBeginOfSequence;

    private LlamaModel load(VocabularyModel vocabulary) throws Exception {
        LlamaModel model =
                LlamaModel.load(EngineOptions.builder(vocabulary.write(folder)).build());
        addsBeginOfSequence = tokens(model, Prompt.text("")).length == 1;
        return model;
    }

    private static int[] tokens(LlamaModel model, Prompt prompt) {
        return model.tokenize(prompt, prompt.toString().getBytes(StandardCharsets.UTF_8), MOST)
                .orElseThrow();
    }

    private static Prompt trusted(String text) {
        return Prompt.withControlTokens(text);
    }

    /** The control tokens, without the one that begins every sequence. */
    private List<Integer> controls(LlamaModel model, Prompt prompt) {
        int[] tokens = tokens(model, prompt);
        return Arrays.stream(tokens, addsBeginOfSequence ? 1 : 0, tokens.length)
                .filter(token -> token < VocabularyModel.controlCount())
                .boxed()
                .toList();
    }

    private static List<String> hostileTexts() {
        return VocabularyModel.controlStrings().stream()
                .flatMap(control -> HostileTexts.with(control).stream())
                .distinct()
                .toList();
    }

    private static List<String> texts(VocabularyModel vocabulary, int count) {
        SplittableRandom random =
                new SplittableRandom(List.of(VocabularyModel.values()).indexOf(vocabulary));
        return IntStream.range(0, count)
                .mapToObj(i -> HostileTexts.ordinary(random, VocabularyModel.controlStrings()))
                .toList();
    }

    @ParameterizedTest
    @EnumSource
    void hostileTextsYieldNoControlToken(VocabularyModel vocabulary) throws Exception {
        List<String> texts = hostileTexts();
        assertThat(texts).hasSizeGreaterThan(200);
        try (LlamaModel model = load(vocabulary)) {
            for (String text : texts) {
                assertThat(controls(model, Prompt.text(text))).as(text).isEmpty();
            }
            assertThat(VocabularyModel.controlStrings())
                    .as("control strings of a template")
                    .allSatisfy(control -> assertThat(controls(model, trusted("a" + control)))
                            .containsExactly(VocabularyModel.controlStrings().indexOf(control)));
        }
    }

    /** Over two columns, and over the template and a column. What the template holds as a whole stays. */
    @ParameterizedTest
    @EnumSource
    void controlStringsThatAreSplitAreText(VocabularyModel vocabulary) throws Exception {
        try (LlamaModel model = load(vocabulary)) {
            for (String control : VocabularyModel.controlStrings()) {
                for (String text : List.of(control + control, "a" + control + "b")) {
                    for (List<String> split : HostileTexts.splits(text)) {
                        Prompt before = trusted("x" + split.get(0));
                        Prompt after = trusted(split.get(1) + "x");
                        Prompt columns = Prompt.text(split.get(0))
                                .plus(trusted(""))
                                .plus(Prompt.text(split.get(1)))
                                .plus(trusted("\n"));

                        assertThat(controls(model, columns)).as("%s", split).isEmpty();
                        assertThat(controls(model, before.plus(Prompt.text(split.get(1)))))
                                .as("%s", split)
                                .isEqualTo(controls(model, before));
                        assertThat(controls(
                                        model, Prompt.text("x" + split.get(0)).plus(after)))
                                .as("%s", split)
                                .isEqualTo(controls(model, trusted("x").plus(after)));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"SENTENCE_PIECE", "GPT_2", "LLAMA_3", "QWEN", "TEKKEN", "GEMMA_4"})
    void hostileTextsKeepAllTheirCharacters(VocabularyModel vocabulary) throws Exception {
        try (LlamaModel model = load(vocabulary)) {
            for (String text : hostileTexts()) {
                AnswerText read = new AnswerText(List.of());
                for (int token : tokens(model, Prompt.text(text))) {
                    model.vocabulary().appendPiece(token, read);
                }
                assertThat(withoutBlanks(read.toString())).as(text).isEqualTo(withoutBlanks(text));
            }
        }
    }

    /** Some tokenizers write a blank as U+2581, and one in front. */
    private static String withoutBlanks(String text) {
        return text.replace('▁', ' ').stripLeading();
    }

    /** Alone, and between the parts of a template: there is no new seam. */
    @ParameterizedTest
    @EnumSource
    void ordinaryTextsHaveTheTokensOfBefore(VocabularyModel vocabulary) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (LlamaModel model = load(vocabulary)) {
            for (String text : texts(vocabulary, 10_000)) {
                int[] expected = tokens(model, trusted(text));
                add(digest, expected);
                assertThat(tokens(model, Prompt.text(text))).as(text).isEqualTo(expected);
            }
            for (String text : texts(vocabulary, 1_000)) {
                Prompt prompt = Prompt.text("");
                for (String literal : TEMPLATE) {
                    prompt = prompt.plus(Prompt.text(prompt.isEmpty() ? "" : text))
                            .plus(trusted(literal));
                }
                int[] expected = tokens(model, trusted(prompt.toString()));
                add(digest, expected);
                assertThat(tokens(model, prompt)).as(text).isEqualTo(expected);
            }
        }
        assertThat(HexFormat.of().formatHex(digest.digest()).substring(0, 16))
                .isEqualTo(TOKENS_OF_BEFORE.get(vocabulary));
    }

    private static void add(MessageDigest digest, int[] tokens) {
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * (tokens.length + 1));
        bytes.putInt(tokens.length).asIntBuffer().put(tokens);
        digest.update(bytes.array());
    }

    @ParameterizedTest
    @EnumSource
    void templateThatBeginsASequenceDoesNotBeginItTwice(VocabularyModel vocabulary) throws Exception {
        try (LlamaModel model = load(vocabulary)) {
            int[] without = tokens(model, trusted("[INST] a"));
            int[] with = tokens(model, trusted("<s>[INST] ").plus(Prompt.text("a")));
            int[] twice = tokens(model, trusted("<s><s>[INST] a"));
            int[] begun = addsBeginOfSequence ? without : prepended(without);

            assertThat(with).isEqualTo(begun);
            assertThat(twice).as("as its author wrote it").isEqualTo(prepended(begun));
        }
    }

    private static int[] prepended(int[] tokens) {
        int[] longer = new int[tokens.length + 1];
        longer[0] = BEGIN_OF_SEQUENCE;
        System.arraycopy(tokens, 0, longer, 1, tokens.length);
        return longer;
    }

    /** A grammar reads the names of control tokens, but an answer leaves them out. */
    @ParameterizedTest
    @EnumSource(names = {"SENTENCE_PIECE", "GPT_2", "LLAMA_3", "GEMMA_4"})
    void labelsAndJsonWithControlStringsAreWrittenInPlainTokens(VocabularyModel vocabulary) throws Exception {
        try (LlamaCppEngine engine = LlamaCppEngine.open(
                EngineOptions.builder(vocabulary.write(folder)).contextSize(256).build())) {
            for (String control : VocabularyModel.controlStrings()) {
                for (String label : List.of(control, "refund " + control + "!", control + control)) {
                    CompletionResult answer =
                            answer(engine, LabelGrammar.of(List.of(label)), LabelGrammar.maxTokens(List.of(label)));
                    assertThat(answer.text()).isEqualTo(label);
                    assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
                }
                String json = "{\"enum\": [\"%s\"]}".formatted(control);
                CompletionResult answer = answer(engine, JsonSchemaGrammar.of(json), 200);
                assertThat(answer.text()).isEqualTo("\"" + control + "\"");
                assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
            }
        }
    }

    private static CompletionResult answer(LlamaCppEngine engine, String grammar, int maxTokens) throws Exception {
        return engine.submit(CompletionRequest.of("a", AdapterStack.base())
                        .withSampling(SamplingOptions.builder().grammar(grammar).build())
                        .withMaxTokens(maxTokens))
                .get(60, TimeUnit.SECONDS);
    }

    /** They end it, or they are left out of its text. */
    @Test
    void controlTokensOfAFreeAnswerAreNoText() throws Exception {
        try (LlamaCppEngine engine =
                LlamaCppEngine.open(EngineOptions.builder(VocabularyModel.SENTENCE_PIECE.write(folder))
                        .contextSize(64)
                        .build())) {
            for (String control : VocabularyModel.CONTROLS) {
                int token = VocabularyModel.CONTROLS.indexOf(control);
                CompletionResult answer = engine.submit(CompletionRequest.of("a", AdapterStack.base())
                                .withSampling(SamplingOptions.builder()
                                        .logitBias(Map.of(token, 1_000f))
                                        .build())
                                .withMaxTokens(3))
                        .get(60, TimeUnit.SECONDS);
                assertThat(answer.text()).as(control).isEmpty();
            }
        }
    }
}
