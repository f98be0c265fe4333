package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

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

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Variants of models and their queries. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class MlPredictQueriesIT {
    private static final int TICKETS = 20;
    private static final String ARRAY_SCHEMA =
            "{\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"minItems\": 2, \"maxItems\": 2}";

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @CsvSource({"STREAMING, true", "STREAMING, false", "BATCH, true", "BATCH, false"})
    @interface InBothModesAndWays {}

    private static Sql tickets(RuntimeExecutionMode mode) {
        Sql sql = new Sql(mode);
        List<Row> rows = IntStream.range(0, TICKETS)
                .mapToObj(
                        id -> Row.of(id, Notes.text(id), "", stack(id), Map.of("max-tokens", id % 2 == 0 ? "1" : "40")))
                .toList();
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.env()
                                .fromValues(
                                        DataTypes.of(
                                                        "ROW<id INT, note STRING, nothing STRING, stack STRING, opts MAP<STRING, STRING>>")
                                                .notNull(),
                                        rows));
        return sql;
    }

    private static String stack(int id) {
        return List.of("medical", "legal", "finance", "formal", "").get(id % 5);
    }

    private static String answer(int id, String stack) {
        return Notes.answer(Notes.text(id), stack);
    }

    /** Rows of id and answer. */
    private static void assertAnswers(List<Row> rows, String stack) {
        assertThat(rows).hasSize(TICKETS).allSatisfy(row -> assertThat(row.getField(1))
                .isEqualTo(answer(row.<Integer>getFieldAs(0), stack)));
    }

    /** Each with the columns of the tickets that fill it. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "text STRING | note",
                "prompt STRING | note",
                "text STRING, adapters STRING | note, stack",
                "adapters STRING, text STRING | stack, note",
                "text STRING, options MAP<STRING, STRING> | note, opts",
                "options MAP<STRING, STRING>, adapters STRING, text STRING | opts, stack, note",
                "text STRING, adapters STRING, options MAP<STRING, STRING> | note, stack, opts",
                "head STRING, text STRING | nothing, note",
                "head STRING, adapters STRING, text STRING, options MAP<STRING, STRING> | nothing, stack, note, opts",
            })
    void inputIsTextsAndPerhapsAdaptersAndOptions(String input, String columns) {
        Sql sql = tickets(STREAMING);
        String template =
                input.contains("head") ? "{head}### Text:\n{text}\n### Answer:\n" : "### Text:\n{text}\n### Answer:\n";
        sql.createModel("triage", input, "answer STRING, generated_tokens INT", "prompt-template", template);

        List<Row> rows =
                sql.rows("SELECT * FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(%s))".formatted(columns));

        assertThat(rows).hasSize(TICKETS).allSatisfy(row -> {
            int id = row.<Integer>getFieldAs("id");
            if (columns.contains("opts") && id % 2 == 0) {
                assertThat(row.getField("generated_tokens")).isEqualTo(1);
            } else {
                assertThat(row.getField("answer")).isEqualTo(answer(id, columns.contains("stack") ? stack(id) : ""));
            }
        });
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "answer STRING",
                "error STRING",
                "error_code STRING",
                "finish_reason STRING",
                "prompt_tokens INT",
                "generated_tokens INT",
                "adapters STRING",
                "latency_ms BIGINT",
                "provenance STRING"
            })
    void outputMayBeOneColumn(String output) {
        Sql sql = tickets(BATCH);
        sql.createModel("triage", "text STRING, adapters STRING", output);
        String name = output.substring(0, output.indexOf(' '));

        List<Row> rows = sql.rows(
                "SELECT id, %s FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note, stack))".formatted(name));

        assertThat(rows).hasSize(TICKETS).allSatisfy(row -> assertThat(row.getField(1) == null)
                .isEqualTo(name.startsWith("error")));
    }

    @InBothModesAndWays
    void tasksConstrainTheAnswer(RuntimeExecutionMode mode, String async) {
        Sql sql = tickets(mode);
        sql.createModel(
                        "sorter",
                        "text STRING",
                        "answer STRING",
                        "task",
                        "classification",
                        "labels",
                        "[\"health\", \"law\", \"a;b\"]")
                .createModel(
                        "extractor",
                        "text STRING, adapters STRING",
                        "answer STRING",
                        "task",
                        "extraction",
                        "json-schema",
                        ARRAY_SCHEMA)
                .createModel("writer", "text STRING", "answer STRING", "task", "text_generation");
        String predict =
                "SELECT id, answer FROM ML_PREDICT(TABLE tickets, MODEL %%s, DESCRIPTOR(%%s), MAP['async', '%s'%%s])"
                        .formatted(async);

        assertThat(sql.rows(predict.formatted("sorter", "note", "")))
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.getField(1)).isIn("health", "law", "a;b"));
        assertThat(sql.rows(predict.formatted("sorter", "note", ", 'labels', 'x;y'")))
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.getField(1)).isIn("x", "y"));
        assertThat(sql.rows(predict.formatted("extractor", "note, stack", "")))
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.<String>getFieldAs(1)).matches("\\[(true|false),(true|false)]"));
        assertThat(sql.rows(predict.formatted("extractor", "note, stack", ", 'json-schema', '{\"enum\": [7]}'")))
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo("7"));
        assertAnswers(sql.rows(predict.formatted("writer", "note", "")), "");
    }

    @InBothModesAndWays
    void queryOverridesOptionsOfTheModel(RuntimeExecutionMode mode, String async) {
        Sql sql = tickets(mode);
        sql.createModel(
                "triage",
                "text STRING, options MAP<STRING, STRING>",
                "answer STRING, generated_tokens INT",
                "max-tokens",
                "2");

        assertThat(sql.rows(
                        "SELECT id, generated_tokens FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note, opts),"
                                + " MAP['async', '%s', 'grammar', 'root ::= [a-z]{9}', 'max-tokens', '3'])"
                                        .formatted(async)))
                .as("of the record before those of the query")
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.<Integer>getFieldAs(1)).satisfies(tokens -> {
                    if (row.<Integer>getFieldAs(0) % 2 == 0) {
                        assertThat(tokens).isEqualTo(1);
                    } else {
                        assertThat(tokens).isGreaterThan(3);
                    }
                }));
    }

    /** Values of many types beside the model, half of them NULL, in a different pattern per row. */
    @InBothModesAndWays
    void manyNullableNeighboursSurvive(RuntimeExecutionMode mode, String async) {
        Sql sql = new Sql(mode);
        List<Row> expected = WideRows.all();
        sql.env().createTemporaryView("wide", sql.env().fromValues(WideRows.TYPE, expected));
        sql.createModel("triage", "text STRING", "answer STRING, error STRING, prompt_tokens INT, latency_ms BIGINT");

        List<Row> rows =
                sql.rows("SELECT * FROM ML_PREDICT(TABLE wide, MODEL triage, DESCRIPTOR(note), MAP['async', '%s'])"
                        .formatted(async));

        assertThat(rows).hasSize(expected.size()).allSatisfy(row -> {
            Row neighbours = WideRows.columns(row);
            assertThat(neighbours).isEqualTo(expected.get(row.<Integer>getFieldAs("id")));
            String note = row.getFieldAs("note");
            assertThat(row.getField("answer")).isEqualTo(note == null ? null : Notes.answer(note, ""));
            assertThat(row.getField("error")).isNull();
            assertThat(row.getField("prompt_tokens") == null).isEqualTo(note == null);
            assertThat(row.getField("latency_ms") == null).isEqualTo(note == null);
        });
    }

    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    void answersAreFilteredGroupedJoinedAndAskedAgain(RuntimeExecutionMode mode) {
        Sql sql = tickets(mode);
        sql.loadModule()
                .createModel("triage", "text STRING, adapters STRING", "answer STRING")
                .execute("CREATE TEMPORARY VIEW answered AS SELECT id, answer, stack FROM"
                        + " ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note, stack))");
        long none = IntStream.range(0, TICKETS)
                .filter(id -> answer(id, stack(id)).startsWith("no "))
                .count();

        assertThat(sql.rows("SELECT id FROM answered WHERE answer LIKE 'no %'")).hasSize((int) none);
        Map<String, Long> counts = new HashMap<>();
        sql.rows("SELECT answer, COUNT(*) FROM answered GROUP BY answer")
                .forEach(row -> counts.put(row.getFieldAs(0), row.getFieldAs(1)));
        assertThat(counts)
                .isEqualTo(IntStream.range(0, TICKETS)
                        .mapToObj(id -> answer(id, stack(id)))
                        .collect(Collectors.groupingBy(answer -> answer, Collectors.counting())));
        assertThat(
                        sql.rows(
                                "SELECT a.id, t.note, LLM_TOKENS(a.answer) FROM answered AS a JOIN tickets AS t ON a.id = t.id"))
                .hasSize(TICKETS)
                .allSatisfy(row -> {
                    assertThat(row.getField(1)).isEqualTo(Notes.text(row.<Integer>getFieldAs(0)));
                    assertThat(row.<Integer>getFieldAs(2)).isPositive();
                });
        sql.createModel("sorter", "text STRING", "answer STRING", "task", "classification", "labels", "a;b");
        assertThat(sql.rows("SELECT id, answer0 FROM ML_PREDICT(TABLE answered, MODEL sorter, DESCRIPTOR(answer))"))
                .hasSize(TICKETS)
                .allSatisfy(row -> assertThat(row.getField(1)).isIn("a", "b"));
    }

    @Test
    void argumentsMayBeNamed() {
        Sql sql = tickets(BATCH);
        sql.createModel("triage", "text STRING", "generated_tokens INT");

        assertThat(sql.rows("SELECT generated_tokens FROM ML_PREDICT(INPUT => TABLE tickets, MODEL => MODEL triage,"
                        + " ARGS => DESCRIPTOR(note), CONFIG => MAP['max-tokens', '1'])"))
                .hasSize(TICKETS)
                .containsOnly(Row.of(1));
    }

    /** Flink rejects what it cannot retract. */
    @Test
    void updatesAreRefusedInStreaming() {
        Sql sql = tickets(STREAMING);
        sql.createModel("triage", "text STRING", "answer STRING")
                .execute("CREATE TEMPORARY VIEW latest AS SELECT stack, MAX(note) AS note FROM tickets GROUP BY stack");

        assertThatThrownBy(() -> sql.rows("SELECT * FROM ML_PREDICT(TABLE latest, MODEL triage, DESCRIPTOR(note))"))
                .hasStackTraceContaining("doesn't support consuming update");
    }

    @Test
    void alteredModelHoldsForTheNextQuery() {
        Sql sql = tickets(BATCH);
        sql.createModel("triage", "text STRING", "generated_tokens INT");
        String query = "SELECT generated_tokens FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note))";

        sql.execute("ALTER MODEL triage SET ('max-tokens' = '1')");
        assertThat(sql.rows(query)).containsOnly(Row.of(1));
        sql.execute("ALTER MODEL triage SET ('max-token' = '1')");
        Sql.assertFails(
                () -> sql.rows(query), ErrorCode.INVALID_OPTION, "The model triage", "'max-token'", "max-tokens");
    }

    @Test
    void adaptersMayBeNamedOneByOne() {
        Sql sql = tickets(BATCH);
        String medical = Notes.options().build().toMap().get("adapters") + "/medical.gguf";
        sql.createModel("triage", "text STRING, adapters STRING", "answer STRING", "adapters.files.health", medical)
                .execute("LOAD MODULE llamafu " + Sql.with(Sql.options("adapters.files.health", medical)));

        assertAnswers(sql.rows("SELECT id, LLM_COMPLETE(note, 'health') FROM tickets"), "medical");
        sql.execute("CREATE TEMPORARY VIEW healthy AS SELECT id, note, 'health' AS stack FROM tickets");
        assertAnswers(
                sql.rows("SELECT id, answer FROM ML_PREDICT(TABLE healthy, MODEL triage, DESCRIPTOR(note, stack))"),
                "medical");
    }
}
