package io.llamafu.grammar;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.FinishReason;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.grammar.TestSchemas.Example;
import io.llamafu.llamacpp.LlamaCppEngine;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The engine follows the compiled grammars. */
class GrammarAnswersTest {
    private static final List<String> ODD_LABELS = List.of(
            "a",
            "ab",
            "abc",
            "refund",
            "refund: travel",
            "refund: travel abroad",
            " refund",
            "refund ",
            "\"quoted\"",
            "it's",
            "back\\slash",
            "two\nlines",
            "\ttab",
            "(",
            "ünïcödé",
            "漢字",
            "漢",
            "😀",
            "😀😁",
            "مرحبا",
            "#",
            "</s>",
            "<s>",
            "<unk>");
    private static final List<String> STACKS = List.of("", "medical", "legal+formal", "finance:0.5");

    private static InferenceEngine engine;

    @BeforeAll
    static void open() {
        engine = LlamaCppEngine.open(TinyModel.options().build());
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    private static CompletableFuture<CompletionResult> submit(
            String text, String stack, String grammar, float temperature, int seed, int maxTokens) {
        SamplingOptions sampling = SamplingOptions.builder()
                .temperature(temperature)
                .topK(0)
                .topP(1)
                .minP(0)
                .seed(seed)
                .grammar(grammar)
                .build();
        return engine.submit(CompletionRequest.of(TinyModel.prompt(text), AdapterStack.parse(stack))
                .withSampling(sampling)
                .withMaxTokens(maxTokens));
    }

    private record Answer(Example example, CompletableFuture<CompletionResult> completion) {}

    @Test
    void finishedAnswersAreValid() throws Exception {
        List<Answer> answers = new ArrayList<>();
        for (Example example : TestSchemas.all()) {
            for (float temperature : new float[] {0, 0.7f, 1.5f, 4}) {
                for (int seed = 0; seed < 4; seed++) {
                    String stack = STACKS.get(seed % STACKS.size());
                    answers.add(new Answer(
                            example,
                            submit(
                                    "Invoice 7 of Ann, 3 nights in Rome.",
                                    stack,
                                    example.grammar(),
                                    temperature,
                                    seed,
                                    400)));
                }
            }
        }

        Set<String> finishedExamples = new HashSet<>();
        int finished = 0;
        for (Answer answer : answers) {
            CompletionResult completion = answer.completion().get(3, TimeUnit.MINUTES);
            if (completion.finishReason() == FinishReason.END_OF_GENERATION) {
                finished++;
                finishedExamples.add(answer.example().name());
                assertThat(answer.example().problems(TestSchemas.JSON.readTree(completion.text())))
                        .as("%s: %s", answer.example(), completion.text())
                        .isEmpty();
            } else {
                assertThat(completion.finishReason()).isIn(FinishReason.MAX_TOKENS, FinishReason.CONTEXT_FULL);
            }
        }
        assertThat(finishedExamples).hasSameSizeAs(TestSchemas.all());
        assertThat(finished).isGreaterThan(answers.size() * 9 / 10);
    }

    @Test
    void everyOddLabelCanBeAnswered() throws Exception {
        for (String label : ODD_LABELS) {
            List<String> labels = List.of(label);
            CompletionResult answer = submit("text", "", LabelGrammar.of(labels), 0, 0, LabelGrammar.maxTokens(labels))
                    .get(1, TimeUnit.MINUTES);

            assertThat(answer.text()).isEqualTo(label);
            assertThat(answer.finishReason()).isEqualTo(FinishReason.END_OF_GENERATION);
        }
    }

    /** Single-byte tokens could form a character with more bytes than UTF-8 allows, and control tokens have names. */
    @Test
    void charactersOfTheGrammarAreCharactersOfTheAnswer() throws Exception {
        List<CompletableFuture<CompletionResult>> answers = new ArrayList<>();
        for (int seed = 0; seed < 60; seed++) {
            answers.add(submit("text", "", "root ::= [\\u0080-\\uD7FF<>su]{20}", 4, seed, 200));
        }
        for (CompletableFuture<CompletionResult> answer : answers) {
            String text = answer.get(1, TimeUnit.MINUTES).text();

            assertThat(text.codePointCount(0, text.length())).as(text).isEqualTo(20);
            assertThat(text).doesNotContain("\uFFFD");
        }
    }

    @Test
    void anyTextGetsALabel() throws Exception {
        Random random = new Random(5);
        List<String> texts =
                IntStream.range(0, 1000).mapToObj(i -> randomText(random)).toList();

        List<String> answers = classify(texts, ODD_LABELS);

        assertThat(ODD_LABELS).containsAll(answers);
        assertThat(Set.copyOf(answers)).hasSizeGreaterThan(5);
    }

    @Test
    void aThousandLabels() throws Exception {
        List<String> labels =
                IntStream.range(0, 1000).mapToObj(i -> "department " + i).toList();
        Random random = new Random(6);
        List<String> texts =
                IntStream.range(0, 100).mapToObj(i -> randomText(random)).toList();

        assertThat(labels).containsAll(classify(texts, labels));
    }

    @Test
    void anObjectOfManyOptionalProperties() throws Exception {
        String grammar = JsonSchemaGrammar.of("{\"properties\":{%s}}"
                .formatted(IntStream.range(0, JsonSchemaGrammar.MAX_SUBSCHEMAS - 1)
                        .mapToObj("\"%d\":{\"type\":\"null\"}"::formatted)
                        .collect(Collectors.joining(","))));

        String answer =
                submit("text", "", grammar, 0, 0, 100).get(1, TimeUnit.MINUTES).text();

        assertThat(answer).startsWith("{");
    }

    private static List<String> classify(List<String> texts, List<String> labels) throws Exception {
        String grammar = LabelGrammar.of(labels);
        List<CompletableFuture<CompletionResult>> completions = new ArrayList<>();
        for (int i = 0; i < texts.size(); i++) {
            completions.add(submit(
                    texts.get(i),
                    STACKS.get(i % STACKS.size()),
                    grammar,
                    i % 2 * 2,
                    i,
                    LabelGrammar.maxTokens(labels)));
        }
        List<String> answers = new ArrayList<>();
        for (CompletableFuture<CompletionResult> completion : completions) {
            answers.add(completion.get(3, TimeUnit.MINUTES).text());
        }
        return answers;
    }

    /** Also empty texts, nonsense, and any characters of Unicode. */
    private static String randomText(Random random) {
        int length = random.nextInt(40);
        int[] alphabet =
                switch (random.nextInt(4)) {
                    case 0 -> "abcdefghij klm, nop; qrs.".codePoints().toArray();
                    case 1 -> "😀🇩🇪👩‍👩‍👧漢字مرحبا ñ".codePoints().toArray();
                    case 2 -> "\"\\{}[]()|\n\t#<>/s".codePoints().toArray();
                    default ->
                        random.ints(20, 1, 0x10FFFF)
                                .filter(c -> c < Character.MIN_SURROGATE || c > Character.MAX_SURROGATE)
                                .toArray();
                };
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.appendCodePoint(alphabet[random.nextInt(alphabet.length)]);
        }
        return text.toString();
    }
}
