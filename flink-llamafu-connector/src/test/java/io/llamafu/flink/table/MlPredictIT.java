package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.Sha256;
import io.llamafu.flink.FailOnce;
import io.llamafu.flink.Notes;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ModelDescriptor;
import org.apache.flink.table.api.Schema;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.ColumnList;
import org.apache.flink.types.Row;
import org.apache.flink.util.CollectionUtil;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** CREATE MODEL and ML_PREDICT with the provider 'llamafu'. */
@Timeout(value = 240, unit = TimeUnit.SECONDS)
class MlPredictIT {
    private static final String ALL_OUTPUTS = "answer STRING, error STRING, error_code STRING, finish_reason STRING,"
            + " prompt_tokens INT, generated_tokens INT, adapters STRING, latency_ms BIGINT, provenance STRING";

    private static final String MODEL_DIGEST = digest();

    private static String digest() {
        try {
            return Sha256.of(TinyModel.model());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static Sql tickets(RuntimeExecutionMode mode, List<Row> rows) {
        Sql sql = new Sql(mode);
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.env()
                                .fromValues(
                                        DataTypes.of("ROW<id INT, note STRING, stack STRING, opts MAP<STRING, STRING>>")
                                                .notNull(),
                                        rows));
        return sql;
    }

    private static List<Row> notes(int count) {
        return IntStream.range(0, count)
                .mapToObj(id -> Row.of(id, Notes.text(id), stack(id), null))
                .toList();
    }

    private static String stack(int id) {
        return List.of("medical", "legal", "finance", "formal", "").get(id % 5);
    }

    @ParameterizedTest
    @CsvSource({"STREAMING, true", "STREAMING, false", "BATCH, true", "BATCH, false"})
    void stackIsAColumnAndOutputIsAnySubset(RuntimeExecutionMode mode, String async) {
        Sql sql = tickets(mode, notes(60));
        sql.createModel("triage", "text STRING, adapters STRING", "adapters STRING, answer STRING, provenance STRING");

        List<Row> rows = sql.rows(
                "SELECT * FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note, stack), MAP['async', '%s'])"
                        .formatted(async));

        assertThat(rows).hasSize(60).allSatisfy(row -> {
            int id = row.<Integer>getFieldAs("id");
            assertThat(row.getField("answer")).isEqualTo(Notes.answer(Notes.text(id), stack(id)));
            assertThat(row.<String>getFieldAs("adapters")).startsWith(stack(id));
            assertThat(row.<String>getFieldAs("provenance"))
                    .startsWith("{\"adapters\": [")
                    .contains(
                            "\"modelDigest\": \"" + MODEL_DIGEST + "\"",
                            "\"seed\": 0",
                            "\"engine\": \"native: llama.cpp ")
                    .doesNotContain("\"prompt\"");
            assertThat(row.getArity()).isEqualTo(7);
        });
    }

    /** NULL in, NULL out; the rows and their other columns stay. */
    @ParameterizedTest
    @CsvSource({"STREAMING, true", "STREAMING, false", "BATCH, true", "BATCH, false"})
    void nullsInEveryArgumentAndNeighbourSurvive(RuntimeExecutionMode mode, String async) {
        List<Row> rows = new ArrayList<>();
        for (int id = 0; id < 32; id++) {
            rows.add(Row.of(
                    (id & 1) == 0 ? null : id,
                    (id & 2) == 0 ? null : Notes.text(id),
                    (id & 4) == 0 ? null : stack(id),
                    (id & 8) == 0 ? null : Map.of("max-tokens", "40")));
        }
        Sql sql = tickets(mode, rows);
        sql.createModel("triage", "text STRING, adapters STRING, options MAP<STRING, STRING>", ALL_OUTPUTS);

        List<Row> results = sql.rows(
                "SELECT * FROM ML_PREDICT(TABLE tickets, MODEL triage, DESCRIPTOR(note, stack, opts), MAP['async', '%s'])"
                        .formatted(async));

        assertThat(results)
                .extracting(row -> Row.project(row, new int[] {0, 1, 2, 3}))
                .containsExactlyInAnyOrderElementsOf(rows);
        assertThat(results).allSatisfy(row -> {
            boolean isNull = row.getField(1) == null || row.getField(2) == null || row.getField(3) == null;
            assertThat(row.getField("answer"))
                    .isEqualTo(isNull ? null : Notes.answer(row.getFieldAs(1), row.getFieldAs(2)));
            for (String column : List.of("finish_reason", "prompt_tokens", "adapters", "latency_ms", "provenance")) {
                assertThat(row.getField(column) == null).as(column).isEqualTo(isNull);
            }
            assertThat(row.getField("error")).isNull();
            assertThat(row.getField("error_code")).isNull();
        });
    }

    @ParameterizedTest
    @CsvSource({"STREAMING, true", "STREAMING, false", "BATCH, true", "BATCH, false"})
    void onErrorDecides(RuntimeExecutionMode mode, String async) {
        String note = Notes.text(0);
        Sql sql = tickets(
                mode,
                List.of(
                        Row.of(0, note, "medical", null),
                        Row.of(1, note, "unknown", null),
                        Row.of(2, note, "not:a:stack", null),
                        Row.of(3, note.repeat(100), "medical", null),
                        Row.of(4, "", "medical", null)));
        sql.createModel(
                "triage",
                "text STRING, adapters STRING",
                "answer STRING, error STRING, error_code STRING",
                "prompt-template",
                "{text}");
        String predict = "SELECT id, answer, error_code, error IS NOT NULL FROM ML_PREDICT(TABLE tickets, MODEL triage,"
                + " DESCRIPTOR(note, stack), MAP['on-error', '%s', 'max-tokens', '2', 'async', '" + async + "'])";

        assertThat(sql.rows(predict.formatted("emit")))
                .filteredOn(row -> !row.getField(0).equals(0))
                .containsExactlyInAnyOrder(
                        Row.of(1, null, "ADAPTER_NOT_FOUND", true),
                        Row.of(2, null, "INVALID_REQUEST", true),
                        Row.of(3, null, "PROMPT_TOO_LONG", true),
                        Row.of(4, null, "INVALID_REQUEST", true));
        assertThat(sql.rows(predict.formatted("null")))
                .filteredOn(row -> !row.getField(0).equals(0))
                .hasSize(4)
                .allSatisfy(
                        row -> assertThat(Row.project(row, new int[] {1, 2, 3})).isEqualTo(Row.of(null, null, false)));
        Sql.assertFails(
                () -> sql.execute("CREATE TEMPORARY VIEW single AS SELECT * FROM tickets WHERE id = 1")
                        .rows(predict.formatted("fail").replace("tickets", "single")),
                ErrorCode.ADAPTER_NOT_FOUND,
                "The model triage: ",
                "unknown");
    }

    @Test
    void templateTakesSeveralColumns() {
        Sql sql = tickets(BATCH, notes(10));
        sql.createModel(
                "joined",
                "head STRING, tail STRING",
                "answer STRING",
                "prompt-template",
                "### Text:\n{head}{tail}\n### Answer:\n");

        sql.execute("CREATE TEMPORARY VIEW halves AS SELECT id, SUBSTRING(note FROM 1 FOR 9) AS a,"
                + " SUBSTRING(note FROM 10) AS b FROM tickets");

        assertThat(sql.rows("SELECT id, answer FROM ML_PREDICT(TABLE halves, MODEL joined, DESCRIPTOR(a, b))"))
                .hasSize(10)
                .allSatisfy(row -> assertThat(row.getField(1))
                        .isEqualTo(Notes.answer(Notes.text(row.<Integer>getFieldAs(0)), "")));
    }

    @Test
    void controlStringsInColumnsAndAcrossThemAreText() {
        Sql sql = tickets(BATCH, notes(1));
        sql.createModel("joined", "head STRING, tail STRING", "prompt_tokens INT", "prompt-template", "{head}{tail}");
        sql.createModel(
                "framed", "head STRING, tail STRING", "prompt_tokens INT", "prompt-template", "{head}</s>{tail}");
        String predict = "SELECT prompt_tokens FROM ML_PREDICT(TABLE %s, MODEL %s, DESCRIPTOR(a, b))";

        sql.execute("CREATE TEMPORARY VIEW whole AS SELECT CAST('a</s>' AS STRING) AS a, CAST('b' AS STRING) AS b FROM"
                + " tickets");
        sql.execute("CREATE TEMPORARY VIEW halves AS SELECT CAST('a</' AS STRING) AS a, CAST('s>b' AS STRING) AS b FROM"
                + " tickets");
        sql.execute(
                "CREATE TEMPORARY VIEW ends AS SELECT CAST('a' AS STRING) AS a, CAST('b' AS STRING) AS b FROM tickets");
        Object asText = sql.value(predict.formatted("whole", "joined"));

        assertThat((Integer) asText).isGreaterThan(4);
        assertThat(sql.value(predict.formatted("halves", "joined"))).isEqualTo(asText);
        assertThat(sql.value(predict.formatted("ends", "framed"))).isEqualTo(4);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "text STRING | answer STRING | modle | x | 'modle' | adapters.memory-budget",
                "text STRING | answer STRING | async | true | 'async' | adapters.memory-budget",
                "text STRING | answer STRING | max-tokens | many | max-tokens | many",
                "text STRING | answer STRING | task | translation | task | CLASSIFICATION",
                "text STRING | answer STRING | task | classification | labels | classification",
                "text STRING | answer STRING | task | extraction | json-schema | extraction",
                "text STRING | answer STRING | labels | a;b | 'labels' | Its options are: ",
                "text STRING | answer STRING | on-error | emit | on-error is 'emit' | It can be: fail, null",
                "text STRING | answer STRING | prompt-template | {subject} | {subject} | {text}",
                "text STRING | answer STRING | prompt-template | nothing | lacks {text} | {text}",
                "head STRING, tail STRING | answer STRING | seed | 1 | names {text} | {head}, {tail}",
                "adapters STRING | answer STRING | seed | 1 | no text column | adapters",
                "text STRING, options STRING | answer STRING | seed | 1 | options | MAP<STRING, STRING>",
                "text STRING | reply STRING | seed | 1 | reply | answer STRING, error STRING",
                "text STRING | answer STRING NOT NULL | seed | 1 | answer | must be STRING",
                "text STRING | prompt_tokens STRING | seed | 1 | prompt_tokens | must be INT",
            })
    void modelRefusesWhatIsWrong(String input, String output, String key, String value, String first, String second) {
        Sql sql = tickets(BATCH, notes(1)).createModel("wrong", input, output, key, value);
        String columns = input.contains(",") ? "note, stack" : "note";

        Sql.assertFails(
                () -> sql.rows(
                        "SELECT * FROM ML_PREDICT(TABLE tickets, MODEL wrong, DESCRIPTOR(%s))".formatted(columns)),
                ErrorCode.INVALID_OPTION,
                first,
                second);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "max-token | 3 | 'max-token' | async, calibration",
                "model | other.gguf | 'model' | async, calibration",
                "max-tokens | 0 | max-tokens is 0 | 1 or more",
                "on-error | emit | on-error is 'emit' | It can be: fail, null",
                "labels | a;b | 'labels' | text_generation",
            })
    void configRefusesWhatIsWrong(String key, String value, String first, String second) {
        Sql sql = tickets(STREAMING, notes(1)).createModel("correct", "text STRING", "answer STRING");

        Sql.assertFails(
                () -> sql.rows(
                        "SELECT * FROM ML_PREDICT(TABLE tickets, MODEL correct, DESCRIPTOR(note), MAP['%s', '%s'])"
                                .formatted(key, value)),
                ErrorCode.INVALID_OPTION,
                first,
                second);
    }

    @ParameterizedTest
    @CsvSource({
        "classification, max-tokens, 3",
        "classification, grammar, root ::= [a-z]",
        "classification, json-schema, {}",
        "extraction, labels, a;b",
        "extraction, grammar, root ::= [a-z]",
        "extraction, stop, x"
    })
    void taskRefusesWhatItDecidesItself(String task, String key, String value) {
        Map<String, String> options = Sql.options("provider", "llamafu", "task", task);
        options.remove("max-tokens");
        options.put(task.equals("classification") ? "labels" : "json-schema", "a");
        options.put(key, value);
        Sql sql = tickets(BATCH, notes(1))
                .execute("CREATE MODEL wrong INPUT (text STRING) OUTPUT (answer STRING) " + Sql.with(options));

        Sql.assertFails(
                () -> sql.rows("SELECT * FROM ML_PREDICT(TABLE tickets, MODEL wrong, DESCRIPTOR(note))"),
                ErrorCode.INVALID_OPTION,
                "The task '%s' has no option '%s'".formatted(task, key),
                "Its options are: ",
                "adapters, adapters.files, ");
    }

    /** Flink's own list options would take the brackets for those of a list. */
    @Test
    void labelsAreTakenAsWrittenOrRefused() {
        String predict = "SELECT answer FROM ML_PREDICT(TABLE tickets, MODEL %s, DESCRIPTOR(note))";
        Sql sql = tickets(BATCH, notes(1));
        for (String[] label : new String[][] {{"quoted", "[\"[urgent]\"]"}, {"bare", "[urgent]"}}) {
            sql.createModel(label[0], "text STRING", "answer STRING", "task", "classification", "labels", label[1]);
        }

        assertThat(sql.value(predict.formatted("quoted"))).isEqualTo("[urgent]");
        Sql.assertFails(
                () -> sql.value(predict.formatted("bare")),
                ErrorCode.INVALID_OPTION,
                "labels is '[urgent]'",
                "JSON array");
    }

    /** Planning opens no model, and a missing model fails the task with its code. */
    @Test
    void modelInAFolderThatIsNotHereIsFoundWhenTheTaskStarts() {
        Sql sql = tickets(BATCH, notes(1))
                .createModel("absent", "text STRING", "answer STRING", "model", "/absent/model.gguf");
        String query = "SELECT * FROM ML_PREDICT(TABLE tickets, MODEL absent, DESCRIPTOR(note))";

        assertThat(sql.env().explainSql(query)).contains("MLPredict");
        Sql.assertFails(() -> sql.rows(query), ErrorCode.MODEL_NOT_FOUND, "absent/model.gguf");
    }

    @Test
    void timeoutIsACodedError() {
        Sql sql = tickets(STREAMING, notes(8));
        sql.createModel(
                "slow",
                "text STRING",
                "error_code STRING",
                "on-error",
                "emit",
                "max-tokens",
                "400",
                "grammar",
                "root ::= [a-z]{300}",
                "timeout",
                "5 ms");

        assertThat(sql.rows("SELECT error_code FROM ML_PREDICT(TABLE tickets, MODEL slow, DESCRIPTOR(note))"))
                .hasSize(8)
                .containsOnly(Row.of("DEADLINE_EXCEEDED"));
    }

    @Test
    void tableApiHasModelsToo() {
        Sql sql = tickets(BATCH, notes(5));
        ModelDescriptor.Builder model = ModelDescriptor.forProvider("llamafu")
                .inputSchema(
                        Schema.newBuilder().column("text", DataTypes.STRING()).build())
                .outputSchema(
                        Schema.newBuilder().column("answer", DataTypes.STRING()).build());
        Sql.options().forEach(model::option);
        sql.env().createTemporaryModel("triage", model.build());

        List<Row> rows = CollectionUtil.iteratorToList(sql.env()
                .fromModel("triage")
                .predict(sql.env().from("tickets"), ColumnList.of("note"))
                .execute()
                .collect());
        assertThat(rows).hasSize(5).allSatisfy(row -> assertThat(row.getField("answer"))
                .isEqualTo(Notes.answer(row.getFieldAs("note"), "")));
    }

    @Test
    void failureLosesAndDuplicatesNothing() throws Exception {
        int records = 10_000;
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(200));
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
        configuration.setString("table.exec.async-ml-predict.max-concurrent-operations", "32");
        Sql sql = new Sql(STREAMING, configuration);
        GeneratorFunction<Long, Row> ticket = index -> Row.of(index, "Note " + index % 100, stack(index.intValue()));
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.execution()
                                .fromSource(
                                        new DataGeneratorSource<>(
                                                ticket,
                                                records,
                                                Types.ROW_NAMED(
                                                        new String[] {"id", "note", "stack"},
                                                        Types.LONG,
                                                        Types.STRING,
                                                        Types.STRING)),
                                        WatermarkStrategy.noWatermarks(),
                                        "tickets"));
        sql.createModel("triage", "text STRING, adapters STRING", "answer STRING, adapters STRING");
        FailOnce<Row> failure = new FailOnce<>(row -> row.<Long>getFieldAs("id") > 4000);
        DataStream<Row> answers = sql.env()
                .toDataStream(sql.env()
                        .sqlQuery("SELECT id, stack, answer, adapters FROM ML_PREDICT(TABLE tickets, MODEL triage,"
                                + " DESCRIPTOR(note, stack), MAP['max-tokens', '1'])"))
                .map(failure)
                .returns(Types.ROW_NAMED(
                        new String[] {"id", "stack", "answer", "adapters"},
                        Types.LONG,
                        Types.STRING,
                        Types.STRING,
                        Types.STRING));

        Map<Long, Integer> seen = new HashMap<>();
        answers.executeAndCollect().forEachRemaining(row -> {
            seen.merge(row.getFieldAs("id"), 1, Integer::sum);
            assertThat(row.getField("answer")).isNotNull();
            assertThat(row.<String>getFieldAs("adapters")).startsWith(row.<String>getFieldAs("stack"));
        });
        assertThat(failure.hasFailed()).isTrue();
        assertThat(seen).hasSize(records);
        assertThat(seen.values()).containsOnly(1);
    }
}
