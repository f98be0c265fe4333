package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** Whatever the text is and whatever the labels are, the answer is one of them. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class LlmClassifyIT {
    private static final String[] AWKWARD_LABELS = {
        "a", "ab", "abc", "abc ", " a", "\"quoted\"", "it's", "back\\slash", "two\nlines", "tab\there", "Grüße", "日本語", "\uD83D\uDE00",
        "[x]", "{y}", "::=", "# no comment", "refund: travel", "NULL"
    };

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static List<Row> classify(List<Row> textsAndLabels, String call, String... options) {
        Sql sql = new Sql(BATCH).loadModule(options);
        sql.env()
                .createTemporaryView(
                        "texts",
                        sql.env()
                                .fromValues(
                                        DataTypes.of("ROW<text STRING, labels ARRAY<STRING>>").notNull(),
                                        textsAndLabels));
        return sql.rows("SELECT text, labels, %s FROM texts".formatted(call));
    }

    @Test
    void anyTextGetsALabel() {
        Random random = new Random(3);
        List<Row> texts = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            texts.add(Row.of(text(i, random), AWKWARD_LABELS));
        }

        List<Row> rows = classify(texts, "LLM_CLASSIFY(text, labels, 'finance')");

        assertThat(rows).hasSize(1000).allSatisfy(row -> assertThat(row.getField(2))
                .as("label of '%s'", row.getField(0))
                .isIn((Object[]) AWKWARD_LABELS));
    }

    private static String text(int index, Random random) {
        return switch (index % 5) {
            case 0 -> Notes.text(index);
            case 1 -> "";
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

    /** Each label alone must come out whole, whatever tokens it takes. */
    @Test
    void eachLabelFits() {
        List<Row> alone = new ArrayList<>();
        for (String label : AWKWARD_LABELS) {
            alone.add(Row.of("text", new String[] {label}));
        }
        alone.add(Row.of("text", new String[] {"long ".repeat(60)}));

        assertThat(classify(alone, "LLM_CLASSIFY(text, labels)")).allSatisfy(row -> assertThat(row.getField(2))
                .isEqualTo(((String[]) row.getField(1))[0]));
    }

    @Test
    void thousandLabelsAreNotTooMany() {
        String[] labels = IntStream.range(0, 1000)
                .mapToObj(i -> "label " + i + " of the catalogue")
                .toArray(String[]::new);

        assertThat(classify(List.of(Row.of(Notes.text(0), labels), Row.of("", labels)), "LLM_CLASSIFY(text, labels)"))
                .allSatisfy(row -> assertThat(row.getField(2)).isIn((Object[]) labels));
    }

    @Test
    void trainedLabelsAreStillTheRightOnes() {
        List<String> answers = Notes.texts().stream()
                .map(text -> Notes.answer(text, "medical"))
                .distinct()
                .toList();
        List<Row> texts = Notes.texts().stream()
                .limit(50)
                .map(text -> Row.of(text, answers.toArray(new String[0])))
                .toList();

        assertThat(classify(texts, "LLM_CLASSIFY(text, labels, 'medical')")).allSatisfy(row -> assertThat(row.getField(2))
                .isEqualTo(Notes.answer(row.getFieldAs(0), "medical")));
    }

    @Test
    void labelsThatAreNoneAreAnError() {
        for (String[] labels : Arrays.asList(new String[] {}, new String[] {"a", null})) {
            Sql.assertFails(
                    () -> classify(List.of(Row.of("text", labels)), "LLM_CLASSIFY(text, labels)"),
                    ErrorCode.INVALID_REQUEST,
                    "LLM_CLASSIFY: ",
                    "one or more, and none of them NULL");
        }
    }

    @Test
    void lengthAndStopAreTheLabelsOwn() {
        Sql.assertFails(
                () -> classify(
                        List.of(Row.of("text", AWKWARD_LABELS)),
                        "LLM_CLASSIFY(text, labels, '', MAP['max-tokens', '1'])"),
                ErrorCode.INVALID_OPTION,
                "'max-tokens'");
        assertThat(classify(
                        List.of(Row.of("text", new String[] {"two\nlines"})),
                        "LLM_CLASSIFY(text, labels)",
                        "stop",
                        "\n",
                        "max-tokens",
                        "1"))
                .allSatisfy(row -> assertThat(row.getField(2)).isEqualTo("two\nlines"));
    }

    @Test
    void labelWithoutRoomIsAnError() {
        Sql.assertFails(
                () -> classify(
                        List.of(Row.of(Notes.text(0).repeat(24), new String[] {"long ".repeat(100)})),
                        "LLM_CLASSIFY(text, labels)"),
                ErrorCode.ANSWER_INCOMPLETE,
                "context-size");
    }
}
