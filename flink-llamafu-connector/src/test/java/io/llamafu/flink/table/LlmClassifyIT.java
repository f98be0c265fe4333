package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** The answer is one of the labels, whatever the text and the labels are. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class LlmClassifyIT {
    private static final List<String> AWKWARD_LABELS = List.of(
            "a",
            "ab",
            "abc",
            "abc ",
            " a",
            "\"quoted\"",
            "it's",
            "back\\slash",
            "two\nlines",
            "tab\there",
            "Grüße",
            "日本語",
            "\uD83D\uDE00",
            "[x]",
            "{y}",
            "::=",
            "# no comment",
            "refund: travel",
            "NULL");

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    /** Rows of a text and the result of the call. */
    private static List<Row> classify(List<String> texts, String call, String... options) {
        Sql sql = new Sql(BATCH).loadModule(options);
        DataStream<String> stream = sql.execution().fromData(Types.STRING, texts.toArray(new String[0]));
        sql.env().createTemporaryView("texts", sql.env().fromDataStream(stream).as("text"));
        return sql.rows("SELECT text, %s FROM texts".formatted(call));
    }

    private static String array(List<String> labels) {
        return labels.stream().map(Sql::literal).collect(Collectors.joining(", ", "ARRAY[", "]"));
    }

    @Test
    void anyTextGetsALabel() {
        Random random = new Random(3);
        List<String> texts =
                IntStream.range(0, 1000).mapToObj(i -> text(i, random)).toList();

        List<Row> rows = classify(texts, "LLM_CLASSIFY(text, %s, 'finance')".formatted(array(AWKWARD_LABELS)));

        assertThat(rows).hasSize(1000).allSatisfy(row -> assertThat(row.<String>getFieldAs(1))
                .as("label of '%s'", row.getField(0))
                .isIn(AWKWARD_LABELS));
    }

    private static String text(int index, Random random) {
        return switch (index % 5) {
            case 0 -> Notes.text(index);
            case 1 -> " ";
            case 2 -> points(random, 0x1F600, 0x1F640);
            case 3 -> points(random, 0x21, 0x17F);
            default -> points(random, 0x3042, 0x9000);
        };
    }

    private static String points(Random random, int from, int to) {
        return random.ints(1 + random.nextInt(20), from, to)
                .mapToObj(Character::toString)
                .collect(Collectors.joining());
    }

    /** Each label on its own must be written completely, whatever tokens it takes. */
    @Test
    void eachLabelFits() {
        for (String label : List.of("it's two\nlines \"Grüße\" 日本語 \uD83D\uDE00", "long ".repeat(60))) {
            assertThat(classify(List.of("text", " "), "LLM_CLASSIFY(text, %s)".formatted(array(List.of(label)))))
                    .hasSize(2)
                    .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo(label));
        }
    }

    @Test
    void thousandLabelsAreNotTooMany() {
        List<String> labels = IntStream.range(0, 1000)
                .mapToObj(i -> "label " + i + " of the catalogue")
                .toList();

        assertThat(classify(List.of(Notes.text(0), " "), "LLM_CLASSIFY(text, %s)".formatted(array(labels))))
                .hasSize(2)
                .allSatisfy(row -> assertThat(row.<String>getFieldAs(1)).isIn(labels));
    }

    @Test
    void trainedLabelsAreStillTheRightOnes() {
        List<String> answers = Notes.texts().stream()
                .map(text -> Notes.answer(text, "medical"))
                .distinct()
                .toList();

        assertThat(classify(
                        Notes.texts().subList(0, 50), "LLM_CLASSIFY(text, %s, 'medical')".formatted(array(answers))))
                .hasSize(50)
                .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo(Notes.answer(row.getFieldAs(0), "medical")));
    }

    @Test
    void labelsThatAreNoneAreAnError() {
        assertRefused("ARRAY_REMOVE(ARRAY['a'], 'a')", "There are no labels");
        assertRefused("ARRAY['a', CAST(NULL AS STRING)]", "Label 2 of 2 is null");
        assertRefused("ARRAY['']", "Label 1 of 1 is empty");
        assertRefused("ARRAY['invoice,complaint']", "ARRAY['invoice', 'complaint']");
    }

    private static void assertRefused(String labels, String reason) {
        Sql.assertFails(
                () -> classify(List.of("text"), "LLM_CLASSIFY(text, %s)".formatted(labels)),
                ErrorCode.INVALID_REQUEST,
                "LLM_CLASSIFY: ",
                reason);
    }

    @Test
    void lengthAndStopAreTheLabelsOwn() {
        Sql.assertFails(
                () -> classify(List.of("text"), "LLM_CLASSIFY(text, ARRAY['a'], '', MAP['max-tokens', '1'])"),
                ErrorCode.INVALID_OPTION,
                "'max-tokens'");
        assertThat(classify(
                        List.of("text"), "LLM_CLASSIFY(text, ARRAY['two\nlines'])", "stop", "\n", "max-tokens", "1"))
                .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo("two\nlines"));
    }

    @Test
    void labelWithoutRoomIsAnError() {
        Sql.assertFails(
                () -> classify(
                        List.of(Notes.text(0).repeat(24)),
                        "LLM_CLASSIFY(text, %s)".formatted(array(List.of("long ".repeat(100))))),
                ErrorCode.PROMPT_TOO_LONG,
                "context-size");
    }

    @Test
    void scoresAreARowOfTheLabelAndTheNextOne() {
        List<String> answers = Notes.texts().stream()
                .map(text -> Notes.answer(text, "medical"))
                .distinct()
                .toList();
        String call = "LLM_CLASSIFY_SCORES(text, %s, 'medical', MAP['scoring', 'exact'])".formatted(array(answers));

        assertThat(classify(Notes.texts().subList(0, 20), call)).hasSize(20).allSatisfy(row -> {
            Row scores = row.getFieldAs(1);
            assertThat(scores.getField("label")).isEqualTo(Notes.answer(row.getFieldAs(0), "medical"));
            assertThat(scores.<Double>getFieldAs("probability")).isBetween(0.5, 1.0);
            assertThat(scores.<String>getFieldAs("runner_up")).isIn(answers).isNotEqualTo(scores.getField("label"));
            assertThat(scores.<Double>getFieldAs("runner_up_probability"))
                    .isBetween(0.0, 1 - scores.<Double>getFieldAs("probability") + 1e-9);
        });
    }

    /** Labels that begin alike, and texts the model knows nothing about, so that the scorings disagree in many rows. */
    @Test
    void labelOfTheScoresIsTheLabelWithoutThem() {
        Random random = new Random(5);
        List<String> texts =
                IntStream.range(0, 100).mapToObj(i -> text(i, random)).toList();
        String labels = array(AWKWARD_LABELS);

        for (String options : List.of(
                "MAP['temperature', '0']",
                "MAP['scoring', 'path']",
                "MAP['scoring', 'exact']",
                "MAP['temperature', '1', 'seed', '7']")) {
            assertThat(classify(
                            texts,
                            "LLM_CLASSIFY(text, %s, '', %s), LLM_CLASSIFY_SCORES(text, %s, '', %s)"
                                    .formatted(labels, options, labels, options)))
                    .as(options)
                    .hasSize(100)
                    .allSatisfy(row -> assertThat(row.<Row>getFieldAs(2).getField("label"))
                            .as("label of '%s'", row.getField(0))
                            .isEqualTo(row.getField(1)));
        }
    }

    @Test
    void answerThatIsNotSureIsTheAbstainLabel() {
        String options = "MAP['scoring', 'path', 'min-confidence', '0.99', 'abstain-label', '?', 'calibration', '50']";

        assertThat(classify(List.of("text"), "LLM_CLASSIFY(text, ARRAY['a', 'b'], '', %s)".formatted(options)))
                .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo("?"));
        Sql.assertFails(
                () -> classify(List.of("text"), "LLM_CLASSIFY(text, ARRAY['a'], '', MAP['min-confidence', '0.5'])"),
                ErrorCode.INVALID_OPTION,
                "scoring");
    }

    @Test
    void anySubsetOfTheLabelsIsAnArray() {
        assertThat(classify(
                        List.of("text", "other"),
                        "LLM_CLASSIFY(text, ARRAY['a', 'b', 'c'], '', MAP['multi-label', 'true'])"))
                .allSatisfy(row -> assertThat(row.<String>getFieldAs(1))
                        .isIn(
                                "[]",
                                "[\"a\"]",
                                "[\"b\"]",
                                "[\"c\"]",
                                "[\"a\",\"b\"]",
                                "[\"a\",\"c\"]",
                                "[\"b\",\"c\"]",
                                "[\"a\",\"b\",\"c\"]"));
    }
}
