package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The functions of the module, in streaming and in batch. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SqlFunctionsIT {
    private static final String LABELS = "ARRAY['medical', 'legal', 'finance']";
    private static final String SCHEMA = "'{\"enum\": [\"yes\", \"no\"]}'";

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    @interface InBothModes {}

    private static Sql notes(RuntimeExecutionMode mode, int count, String... options) {
        Sql sql = new Sql(mode).loadModule(options);
        List<Row> rows = IntStream.range(0, count)
                .mapToObj(id -> Row.of(id, Notes.text(id), stack(id)))
                .toList();
        sql.env()
                .createTemporaryView(
                        "notes",
                        sql.env()
                                .fromValues(
                                        DataTypes.ROW(
                                                DataTypes.FIELD("id", DataTypes.INT()),
                                                DataTypes.FIELD("text", DataTypes.STRING()),
                                                DataTypes.FIELD("stack", DataTypes.STRING())),
                                        rows));
        return sql;
    }

    private static String stack(int id) {
        return List.of("medical", "legal", "finance", "formal", "medical+formal", "")
                .get(id % 6);
    }

    private static String answer(int id, String stack) {
        return Notes.answer(Notes.text(id), stack);
    }

    @InBothModes
    void completeAnswersUnderTheStackOfTheCallOrOfAColumn(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 24);

        List<Row> rows =
                sql.rows("SELECT id, LLM_COMPLETE(text), LLM_COMPLETE(text, 'medical'), LLM_COMPLETE(text, stack),"
                        + " LLM_COMPLETE(text, stack, MAP['max-tokens', '40', 'timeout', '30 s']) FROM notes");

        assertThat(rows).hasSize(24).allSatisfy(row -> {
            int id = row.<Integer>getFieldAs(0);
            assertThat(row.getField(1)).isEqualTo(answer(id, ""));
            assertThat(row.getField(2)).isEqualTo(answer(id, "medical"));
            assertThat(row.getField(3)).isEqualTo(answer(id, stack(id)));
            assertThat(row.getField(4)).isEqualTo(answer(id, stack(id)));
        });
    }

    @InBothModes
    void nullInAnyArgumentIsNull(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 2);
        String text = "CAST(NULL AS STRING)";
        String labels = "CAST(NULL AS ARRAY<STRING>)";
        String options = "CAST(NULL AS MAP<STRING, STRING>)";

        List<Row> rows = sql.rows(("SELECT LLM_COMPLETE(%1$s), LLM_COMPLETE(text, %1$s), LLM_COMPLETE(text, '', %3$s),"
                        + " LLM_TRY_COMPLETE(%1$s), LLM_TRY_COMPLETE(text, %1$s), LLM_TRY_COMPLETE(text, '', %3$s),"
                        + " LLM_CLASSIFY(%1$s, %4$s), LLM_CLASSIFY(text, %2$s), LLM_CLASSIFY(text, %4$s, %1$s),"
                        + " LLM_CLASSIFY(text, %4$s, '', %3$s), LLM_EXTRACT(%1$s, %5$s), LLM_EXTRACT(text, %1$s),"
                        + " LLM_EXTRACT(text, %5$s, %1$s), LLM_EXTRACT(text, %5$s, '', %3$s), LLM_TOKENS(%1$s) FROM notes")
                .formatted(text, labels, options, LABELS, SCHEMA));

        assertThat(rows).hasSize(2).allSatisfy(row -> {
            assertThat(row.getArity()).isEqualTo(15);
            assertThat(IntStream.range(0, row.getArity()).mapToObj(row::getField))
                    .containsOnlyNulls();
        });
    }

    /** Although the template alone would be a prompt. */
    @InBothModes
    void emptyTextIsAnErrorInEveryFunction(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 1);

        for (String call : List.of("LLM_COMPLETE('')", "LLM_CLASSIFY('', %s)", "LLM_CLASSIFY_SCORES('', %s)")) {
            Sql.assertFails(
                    () -> sql.rows("SELECT " + call.formatted(LABELS) + " FROM notes"),
                    ErrorCode.INVALID_REQUEST,
                    "on-error",
                    "WHERE text <> ''");
        }
        Sql.assertFails(
                () -> sql.rows("SELECT LLM_EXTRACT('', " + SCHEMA + ") FROM notes"),
                ErrorCode.INVALID_REQUEST,
                "WHERE text <> ''");
        assertThat(sql.value("SELECT LLM_TRY_COMPLETE('').error_code FROM notes"))
                .isEqualTo("INVALID_REQUEST");
        assertThat(sql.value("SELECT LLM_COMPLETE('', '', MAP['on-error', 'null']) FROM notes"))
                .isNull();
    }

    @InBothModes
    void manyNullableNeighboursSurvive(RuntimeExecutionMode mode) {
        Sql sql = new Sql(mode).loadModule();
        List<Row> expected = WideRows.all();
        sql.env().createTemporaryView("wide", sql.env().fromValues(WideRows.TYPE, expected));

        List<Row> rows = sql.rows("SELECT *, LLM_COMPLETE(note, 'medical'), LLM_CLASSIFY(note, " + LABELS
                + "), LLM_EXTRACT(note, " + SCHEMA + "), LLM_TRY_COMPLETE(note).answer, LLM_TOKENS(note) FROM wide");

        assertThat(rows).hasSize(expected.size()).allSatisfy(row -> {
            assertThat(WideRows.columns(row)).isEqualTo(expected.get(row.<Integer>getFieldAs(0)));
            String note = row.getFieldAs("note");
            int answers = WideRows.columns(row).getArity();
            assertThat(row.getField(answers)).isEqualTo(note == null ? null : Notes.answer(note, "medical"));
            assertThat(row.getField(answers + 3)).isEqualTo(note == null ? null : Notes.answer(note, ""));
            for (int column : new int[] {1, 2, 4}) {
                assertThat(row.getField(answers + column) == null).isEqualTo(note == null);
            }
        });
    }

    @InBothModes
    void tryCompleteTellsWhatBecameOfARecord(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 1);

        Row good = (Row) sql.value("SELECT LLM_TRY_COMPLETE(text, 'medical') FROM notes");
        assertThat(good.getField("answer")).isEqualTo(answer(0, "medical"));
        assertThat(good.getField("error")).isNull();
        assertThat(good.getField("error_code")).isNull();
        assertThat(good.getField("finish_reason")).isEqualTo("END_OF_GENERATION");
        assertThat(good.<Integer>getFieldAs("prompt_tokens")).isPositive();
        assertThat(good.<Integer>getFieldAs("generated_tokens")).isPositive();
        assertThat(good.<String>getFieldAs("adapters")).startsWith("medical");

        for (String[] call : new String[][] {
            {"LLM_TRY_COMPLETE(text, 'unknown')", "ADAPTER_NOT_FOUND"},
            {"LLM_TRY_COMPLETE(text, 'not:a:stack')", "INVALID_REQUEST"},
            {"LLM_TRY_COMPLETE(REPEAT(text, 100))", "PROMPT_TOO_LONG"},
            {"LLM_TRY_COMPLETE(text, '', MAP['max-token', '3'])", "INVALID_OPTION"},
            {"LLM_TRY_COMPLETE(text, '', MAP['max-tokens', '0'])", "INVALID_OPTION"},
            {"LLM_TRY_COMPLETE(text, '', MAP['model', '/etc/passwd'])", "INVALID_OPTION"},
            {"LLM_TRY_COMPLETE(text, '', MAP['on-error', 'fail'])", "INVALID_OPTION"},
            {"LLM_TRY_COMPLETE(text, '', MAP['grammar', 'no rules'])", "INVALID_GRAMMAR"},
            {
                "LLM_TRY_COMPLETE(text, '', MAP['timeout', '1 ms', 'max-tokens', '400', 'grammar', 'root ::= [a-z]{300}'])",
                "DEADLINE_EXCEEDED"
            },
        }) {
            Row failed = (Row) sql.value("SELECT %s FROM notes".formatted(call[0]));
            assertThat(failed.getField("error_code")).as(call[0]).isEqualTo(call[1]);
            assertThat(failed.<String>getFieldAs("error")).as(call[0]).isNotBlank();
            assertThat(failed.getField("answer")).isNull();
            assertThat(failed.getField("generated_tokens")).isNull();
        }
    }

    @InBothModes
    void optionsOfACallHoldForThatCall(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 1);

        Row row = sql.rows(
                        "SELECT LLM_TRY_COMPLETE(text, 'formal', MAP['max-tokens', '2']),"
                                + " LLM_COMPLETE(text, 'formal', MAP['stop', 'noted']),"
                                + " LLM_COMPLETE(text, 'formal', MAP['grammar', 'root ::= \"It is\"']),"
                                + " LLM_COMPLETE(text, 'medical', MAP['prompt-template', '### Text:\n{text} ({x})\n### Answer:\n']),"
                                + " LLM_COMPLETE(text, 'medical', MAP['temperature', '0.01', 'seed', '7', 'top-k', '1']) FROM notes")
                .get(0);

        assertThat(((Row) row.getField(0)).getField("generated_tokens")).isEqualTo(2);
        assertThat(((Row) row.getField(0)).getField("finish_reason")).isEqualTo("MAX_TOKENS");
        assertThat(row.getField(1)).isEqualTo("It is hereby ");
        assertThat(row.getField(2)).isEqualTo("It is");
        assertThat(row.getField(3)).as("braces that are no {text} stay").isNotNull();
        assertThat(row.getField(4)).isEqualTo(answer(0, "medical"));
    }

    @InBothModes
    void optionsOfACallMayComeFromColumnsForEachFunction(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 6);

        assertThat(sql.rows(
                        "SELECT id, LLM_TRY_COMPLETE(text, stack, MAP['max-tokens', CAST(id + 1 AS STRING)]).generated_tokens,"
                                + " LLM_CLASSIFY(text, " + LABELS
                                + ", stack, MAP['temperature', '1.5', 'seed', CAST(id AS STRING)]),"
                                + " LLM_EXTRACT(text, '{\"type\": \"string\", \"minLength\": 50}', stack, MAP['max-tokens', CAST(id + 1 AS STRING), 'on-error', 'null'])"
                                + " FROM notes WHERE id < 2"))
                .hasSize(2)
                .allSatisfy(row -> {
                    assertThat(row.getField(1)).isEqualTo(row.<Integer>getFieldAs(0) + 1);
                    assertThat(row.getField(2)).isIn("medical", "legal", "finance");
                    assertThat(row.getField(3)).as("max-tokens is too few").isNull();
                });
    }

    @InBothModes
    void onErrorFailsOrGivesNull(RuntimeExecutionMode mode) {
        Sql failing = notes(mode, 2);
        Sql.assertFails(
                () -> failing.rows("SELECT LLM_COMPLETE(text, 'unknown') FROM notes"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "LLM_COMPLETE: ",
                "unknown");
        Sql.assertFails(
                () -> failing.rows("SELECT LLM_CLASSIFY(text, " + LABELS + ", 'unknown') FROM notes"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "LLM_CLASSIFY: ");
        Sql.assertFails(
                () -> failing.rows("SELECT LLM_EXTRACT(text, " + SCHEMA + ", 'unknown') FROM notes"),
                ErrorCode.ADAPTER_NOT_FOUND,
                "LLM_EXTRACT: ");
        assertThat(failing.value("SELECT COUNT(LLM_COMPLETE(text, 'unknown', MAP['on-error', 'null'])) FROM notes"))
                .isEqualTo(0L);
        Sql.assertFails(
                () -> failing.rows("SELECT LLM_COMPLETE(text, '', MAP['on-error', 'emit']) FROM notes"),
                ErrorCode.INVALID_OPTION,
                "on-error is 'emit'",
                "It can be: fail, null");

        Sql hiding = notes(mode, 2, "on-error", "null");
        assertThat(hiding.rows("SELECT id, LLM_COMPLETE(text, 'unknown'), LLM_CLASSIFY(text, ARRAY['a', NULL]),"
                        + " LLM_EXTRACT(text, SUBSTRING(text FROM 1 FOR 5)) FROM notes"))
                .containsExactlyInAnyOrder(Row.of(0, null, null, null), Row.of(1, null, null, null));
        assertThat(((Row) hiding.value("SELECT LLM_TRY_COMPLETE(text, 'unknown') FROM notes WHERE id = 0"))
                        .getField("error_code"))
                .isEqualTo("ADAPTER_NOT_FOUND");
    }

    @InBothModes
    void functionsStandInWhereGroupByJoinAndInEachOther(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 24);
        String answer = "LLM_COMPLETE(text, stack)";
        long shouted = IntStream.range(0, 24)
                .filter(id -> answer(id, stack(id)).startsWith("no "))
                .count();

        assertThat(sql.rows("SELECT id FROM notes WHERE %s LIKE 'no %%'".formatted(answer)))
                .hasSize((int) shouted);
        assertThat(lastCounts(sql.rows("SELECT answer, COUNT(*) FROM (SELECT %s AS answer FROM notes) GROUP BY answer"
                        .formatted(answer))))
                .isEqualTo(counts(24));
        assertThat(sql.rows(("SELECT n.id, r.reply FROM notes AS n JOIN (VALUES ('no legal content', 'none'),"
                                + " ('no finance content', 'none')) AS r (answer, reply) ON %s = r.answer")
                        .formatted(answer.replace("text", "n.text").replace("stack", "n.stack"))))
                .hasSize((int) shouted);
        assertThat(sql.rows("SELECT id, LLM_COMPLETE(UPPER(LLM_COMPLETE(text, stack)), LLM_CLASSIFY(text, " + LABELS
                        + ")), CHAR_LENGTH(LLM_COMPLETE(text)) FROM notes"))
                .hasSize(24)
                .allSatisfy(row -> assertThat(row.<Integer>getFieldAs(2))
                        .isEqualTo(answer(row.<Integer>getFieldAs(0), "").length()));
    }

    @InBothModes
    void eachFunctionStandsInWhereGroupByJoinAndInEachOther(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 12);
        String label = "LLM_CLASSIFY(text, " + LABELS + ", stack)";
        String json = "LLM_EXTRACT(text, " + SCHEMA + ", stack)";

        assertThat(sql.rows(
                        "SELECT id FROM notes WHERE %s IN ('medical', 'legal', 'finance') AND %s IN ('\"yes\"', '\"no\"')"
                                        .formatted(label, json)
                                + " AND LLM_TOKENS(text) > 1 AND LLM_TRY_COMPLETE(text).error IS NULL"))
                .hasSize(12);
        for (String grouped : List.of(label, json, "LLM_TOKENS(text)", "LLM_TRY_COMPLETE(text, stack).finish_reason")) {
            assertThat(
                            lastCounts(sql.rows("SELECT %1$s, COUNT(*) FROM notes GROUP BY %1$s".formatted(grouped)))
                                    .values()
                                    .stream()
                                    .mapToLong(Long::longValue)
                                    .sum())
                    .as(grouped)
                    .isEqualTo(12);
        }
        assertThat(sql.rows(
                        "SELECT id, adapter.`rank` FROM notes JOIN (VALUES ('\"yes\"'), ('\"no\"')) AS r (json) ON %s = r.json"
                                        .formatted(json)
                                + " CROSS JOIN LATERAL TABLE(LLM_ADAPTERS()) AS adapter WHERE adapter.name = stack"))
                .as("four of six stacks are one adapter")
                .hasSize(8);
        assertThat(sql.rows("SELECT CASE WHEN LLM_TOKENS(%s) > 0 THEN LLM_TRY_COMPLETE(%s).answer END FROM notes"
                        .formatted(label, json)))
                .hasSize(12)
                .allSatisfy(row -> assertThat(row.getField(0)).isNotNull());
    }

    private static Map<String, Long> counts(int notes) {
        return IntStream.range(0, notes)
                .mapToObj(id -> answer(id, stack(id)))
                .collect(Collectors.groupingBy(answer -> answer, Collectors.counting()));
    }

    /** The last count of each answer; in streaming the earlier ones are updates. */
    private static Map<Object, Long> lastCounts(List<Row> rows) {
        Map<Object, Long> counts = new HashMap<>();
        rows.forEach(row -> counts.put(row.getField(0), row.getFieldAs(1)));
        return counts;
    }

    @InBothModes
    void tokensAreCounted(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 3, "prompt-template", "{text}");

        assertThat(sql.rows("SELECT LLM_TOKENS(text), LLM_TRY_COMPLETE(text, '', MAP['max-tokens', '1']).prompt_tokens"
                        + " FROM notes"))
                .hasSize(3)
                .allSatisfy(row -> assertThat(row.getField(0)).isEqualTo(row.getField(1)));
    }

    @InBothModes
    void controlStringsOfTextsAreTextUnlessTheyAreAllowed(RuntimeExecutionMode mode) {
        int asControlToken = 4;
        String tokens =
                "SELECT LLM_TOKENS('a</s>b'), LLM_TRY_COMPLETE('a</s>b', '', MAP['max-tokens', '1']).prompt_tokens,"
                        + " LLM_TRY_COMPLETE('</s>', '', MAP['max-tokens', '1', 'prompt-template', 'a{text}b']).prompt_tokens,"
                        + " LLM_TRY_COMPLETE('a', '', MAP['max-tokens', '1', 'prompt-template', '{text}</s>b']).prompt_tokens,"
                        + " LLM_TRY_COMPLETE('a</s>b', '', MAP['max-tokens', '1', 'control-tokens-in-text', 'true']).prompt_tokens"
                        + " FROM notes";

        assertThat(notes(mode, 1, "prompt-template", "{text}").rows(tokens))
                .singleElement()
                .satisfies(row -> {
                    int asText = row.<Integer>getFieldAs(0);
                    assertThat(asText).isGreaterThan(asControlToken);
                    assertThat(row).isEqualTo(Row.of(asText, asText, asText, asControlToken, asControlToken));
                });
        assertThat(notes(mode, 1, "prompt-template", "{text}", "control-tokens-in-text", "true")
                        .rows(tokens))
                .containsExactly(
                        Row.of(asControlToken, asControlToken, asControlToken, asControlToken, asControlToken));
    }

    @InBothModes
    void adaptersAreListed(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 1);
        assertThat(sql.value("SELECT LLM_COMPLETE(text, 'medical') FROM notes")).isNotNull();

        List<Row> rows = sql.rows("SELECT * FROM LATERAL TABLE(LLM_ADAPTERS()) WHERE name IN ('medical', 'formal')");

        assertThat(rows).extracting(row -> row.getField("name")).containsExactlyInAnyOrder("medical", "formal");
        Row medical = rows.stream()
                .filter(row -> "medical".equals(row.getField("name")))
                .findFirst()
                .orElseThrow();
        assertThat(medical.<String>getFieldAs("digest")).matches("[0-9a-f]{64}");
        assertThat(medical.getField("scale")).isEqualTo(1f);
        assertThat(medical.getField("rank")).isEqualTo(4L);
        assertThat(medical.getField("alpha")).isEqualTo(16.0);
        assertThat(medical.<String[]>getFieldAs("target_modules")).contains("attn_q", "ffn_up");
        assertThat(medical.getField("problem")).isNull();
        assertThat(medical.<Long>getFieldAs("parameters")).isPositive();
        assertThat(medical.<Long>getFieldAs("bytes")).isPositive();
        assertThat(medical.getField("resident")).isEqualTo(true);
    }

    @InBothModes
    void extractGivesJsonOfTheSchemaOrACodedError(RuntimeExecutionMode mode) {
        Sql sql = notes(mode, 6);

        assertThat(
                        sql.rows(
                                "SELECT JSON_VALUE(LLM_EXTRACT(text, '%s', stack), '$.urgent') FROM notes"
                                        .formatted(
                                                "{\"type\": \"object\", \"properties\": {\"topic\": {\"enum\": [\"health\", \"law\"]}, \"urgent\": {\"type\": \"boolean\"}}, \"required\": [\"topic\", \"urgent\"], \"additionalProperties\": false}")))
                .hasSize(6)
                .allSatisfy(row -> assertThat(row.getField(0)).isIn("true", "false"));
        Sql.assertFails(
                () -> sql.rows(
                        "SELECT LLM_EXTRACT(text, '{\"type\": \"string\", \"minLength\": 100}', '', MAP['max-tokens', '3']) FROM notes"),
                ErrorCode.ANSWER_INCOMPLETE,
                "LLM_EXTRACT: ",
                "raise max-tokens");
    }

    @InBothModes
    void whatIsConstantlyWrongIsAnErrorBeforeTheFirstRecord(RuntimeExecutionMode mode) {
        // There is no such folder: the missing error shows that planning opens no model.
        Sql sql = notes(mode, 1, "model", "absent/model.gguf");

        Sql.assertFails(
                () -> sql.rows("SELECT LLM_COMPLETE(text, 'not:a:stack') FROM notes"),
                ErrorCode.INVALID_REQUEST,
                "not:a:stack");
        Sql.assertFails(
                () -> sql.rows("SELECT LLM_EXTRACT(text, '{\"type\": \"string\", \"pattern\": \"a+\"}') FROM notes"),
                ErrorCode.INVALID_SCHEMA,
                "pattern");
        assertThat(sql.env().explainSql("SELECT LLM_COMPLETE('a constant', 'medical') FROM notes"))
                .contains("LLM_COMPLETE");
    }
}
