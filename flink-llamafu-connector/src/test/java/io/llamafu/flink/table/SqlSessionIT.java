package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.PlanReference;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** How the functions come into a session, and what becomes of plans and of changes. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SqlSessionIT {
    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @TempDir
    Path folder;

    private static String note(int id) {
        return Sql.literal(Notes.text(id));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "modle     | base.gguf | 'modle'         | async, batch-size",
                "max-tokens| 0         | max-tokens is 0 | 1 or more",
                "async     | perhaps   | async           | perhaps",
                "on-error  | emit      | on-error is 'emit' | It can be: fail, null",
                "task      | classification | 'task'     | adapters.memory-budget",
            })
    void moduleRefusesWrongOptions(String key, String value, String first, String second) {
        Sql.assertFails(
                () -> new Sql(STREAMING).loadModule(key, value),
                ErrorCode.INVALID_OPTION,
                first.strip(),
                second.strip());
    }

    @Test
    void moduleNeedsAModel() {
        Sql.assertFails(
                () -> new Sql(STREAMING).execute("LOAD MODULE llamafu WITH ('max-tokens' = '3')"),
                ErrorCode.INVALID_OPTION,
                "'model' is missing");
    }

    @Test
    void moduleListsItsFunctions() {
        assertThat(new Sql(STREAMING).loadModule().env().listFunctions())
                .contains(
                        "llm_complete",
                        "llm_try_complete",
                        "llm_classify",
                        "llm_extract",
                        "llm_tokens",
                        "llm_adapters");
    }

    /** A job with functions of its own, and two models. */
    @Test
    void createdFunctionsTakeTheirOptionsFromTheJobParameters() {
        Sql sql = new Sql(BATCH);
        Sql.assertFails(
                () -> sql.execute("CREATE TEMPORARY FUNCTION lonely AS 'io.llamafu.flink.table.LlmComplete'")
                        .rows("SELECT lonely('x')"),
                ErrorCode.INVALID_OPTION,
                "llamafu.model");

        Map<String, String> parameters = new HashMap<>(Map.of("other", "value"));
        Sql.options("max-tokens", "3").forEach((key, value) -> parameters.put("llamafu." + key, value));
        Sql.options().forEach((key, value) -> parameters.put("llamafu.profile.long." + key, value));
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);
        sql.execute("CREATE TEMPORARY FUNCTION complete AS 'io.llamafu.flink.table.LlmComplete'")
                .execute("CREATE TEMPORARY FUNCTION try_complete AS 'io.llamafu.flink.table.LlmTryComplete'")
                .execute("CREATE TEMPORARY FUNCTION classify AS 'io.llamafu.flink.table.LlmClassify'")
                .execute("CREATE TEMPORARY FUNCTION extract_json AS 'io.llamafu.flink.table.LlmExtract'")
                .execute("CREATE TEMPORARY FUNCTION tokens AS 'io.llamafu.flink.table.LlmTokens'")
                .execute("CREATE TEMPORARY FUNCTION adapters AS 'io.llamafu.flink.table.LlmAdapters'");

        Row row = sql.rows("SELECT try_complete(text, 'medical').generated_tokens,"
                        + " complete(text, 'medical', MAP['profile', 'long']), classify(text, ARRAY['a', 'b']),"
                        + " extract_json(text, '{\"enum\": [1]}'), tokens(text) FROM (VALUES (%s)) AS t (text)"
                                .formatted(note(0)))
                .get(0);
        assertThat(row.getField(0)).isEqualTo(3);
        assertThat(row.getField(1)).isEqualTo(Notes.answer(Notes.text(0), "medical"));
        assertThat(row.getField(2)).isIn("a", "b");
        assertThat(row.getField(3)).isEqualTo("1");
        assertThat(row.<Integer>getFieldAs(4)).isPositive();
        assertThat(sql.rows("SELECT * FROM LATERAL TABLE(adapters())")).hasSizeGreaterThanOrEqualTo(4);
        Sql.assertFails(
                () -> sql.rows("SELECT complete(text, '', MAP['profile', 'short']) FROM (VALUES ('x')) AS t (text)"),
                ErrorCode.INVALID_OPTION,
                "'short'",
                "profiles: long");

        parameters.put("llamafu.profile.long.max-token", "3");
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);
        Sql.assertFails(
                () -> sql.rows("SELECT complete(text) FROM (VALUES ('x')) AS t (text)"),
                ErrorCode.INVALID_OPTION,
                "max-token",
                "max-tokens");
    }

    @Test
    void tableApiTakesFunctionsWithOptions() {
        Sql sql = new Sql(BATCH);
        LlamafuOptions options = LlamafuOptions.fromMap(Sql.options());
        sql.env().createTemporarySystemFunction("ask", new LlmComplete(options));

        assertThat(sql.value("SELECT ask(text, 'legal') FROM (VALUES (%s)) AS t (text)".formatted(note(60))))
                .isEqualTo(Notes.answer(Notes.text(60), "legal"));
    }

    @Test
    void plansAreCompiledAndExecuted() throws Exception {
        Files.write(folder.resolve("notes.txt"), Notes.texts().subList(0, 20));
        String tables =
                "CREATE TABLE %s (line STRING) WITH ('connector' = 'filesystem', 'path' = '%s', 'format' = 'raw')";
        String notes = tables.formatted("notes", folder.resolve("notes.txt").toUri());
        String answers = tables.formatted("answers", folder.resolve("answers").toUri());
        String plan = folder.resolve("plan.json").toString();
        Sql compiling = new Sql(STREAMING).loadModule().execute(notes).execute(answers);
        compiling
                .createModel("notes_model", "text STRING", "answer STRING")
                .execute(
                        "COMPILE PLAN '%s' FOR INSERT INTO answers SELECT LLM_COMPLETE(line, 'medical') || ' / ' || answer"
                                        .formatted(plan)
                                + " FROM ML_PREDICT(TABLE notes, MODEL notes_model, DESCRIPTOR(line))");

        Sql executing = new Sql(STREAMING).loadModule().execute(notes).execute(answers);
        executing.createModel("notes_model", "text STRING", "answer STRING");
        executing.env().loadPlan(PlanReference.fromFile(plan)).execute().await();

        assertThat(lines(folder.resolve("answers")))
                .containsExactlyInAnyOrderElementsOf(IntStream.range(0, 20)
                        .mapToObj(Notes::text)
                        .map(text -> Notes.answer(text, "medical") + " / " + Notes.answer(text, ""))
                        .toList());
    }

    private static List<String> lines(Path folder) throws IOException {
        List<String> lines = new ArrayList<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                lines.addAll(Files.readAllLines(file));
            }
        }
        return lines;
    }

    /** Each ticket is corrected once, and some are taken back: what was counted for the old text must go. */
    @Test
    void updatesAreRetracted() {
        int tickets = 30;
        List<Row> changes = new ArrayList<>();
        Map<String, Long> expected = new HashMap<>();
        for (int id = 0; id < tickets; id++) {
            changes.add(Row.ofKind(RowKind.INSERT, id, Notes.text(id)));
        }
        for (int id = 0; id < tickets; id++) {
            if (id % 5 == 0) {
                changes.add(Row.ofKind(RowKind.DELETE, id, Notes.text(id)));
            } else {
                changes.add(Row.ofKind(RowKind.UPDATE_BEFORE, id, Notes.text(id)));
                changes.add(Row.ofKind(RowKind.UPDATE_AFTER, id, Notes.text(id + 100)));
                expected.merge(Notes.answer(Notes.text(id + 100), "medical"), 1L, Long::sum);
            }
        }
        Sql sql = new Sql(STREAMING).loadModule();
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.env()
                                .fromChangelogStream(
                                        stream(sql, changes),
                                        Schema.newBuilder()
                                                .column("id", DataTypes.INT().notNull())
                                                .column("text", DataTypes.STRING())
                                                .primaryKey("id")
                                                .build(),
                                        ChangelogMode.all()));

        Map<String, Long> counts = new HashMap<>();
        for (Row row :
                sql.rows("SELECT answer, COUNT(*) FROM (SELECT LLM_COMPLETE(text, 'medical') AS answer FROM tickets)"
                        + " GROUP BY answer")) {
            boolean isGone = row.getKind() == RowKind.DELETE || row.getKind() == RowKind.UPDATE_BEFORE;
            counts.merge(row.getFieldAs(0), isGone ? -row.<Long>getFieldAs(1) : row.<Long>getFieldAs(1), Long::sum);
        }
        counts.values().removeIf(count -> count == 0);
        assertThat(counts).isEqualTo(expected);
    }

    private static DataStream<Row> stream(Sql sql, List<Row> changes) {
        return sql.execution()
                .fromData(
                        Types.ROW_NAMED(new String[] {"id", "text"}, Types.INT, Types.STRING),
                        changes.toArray(new Row[0]));
    }

    /** Flink corrupts NULLs beside asynchronous functions, so only the answers are looked at. */
    @Test
    void asynchronousFunctionsAreAnOptIn() {
        Sql sql = new Sql(STREAMING).loadModule("async", "true");

        List<Row> rows = sql.rows(("SELECT LLM_COMPLETE(text, 'medical'), LLM_CLASSIFY(text, ARRAY['a', 'b']),"
                        + " LLM_EXTRACT(text, '{\"enum\": [1]}'), LLM_TRY_COMPLETE(text, 'unknown'), LLM_TOKENS(text)"
                        + " FROM (VALUES (%s), (%s)) AS t (text)")
                .formatted(note(0), note(1)));

        assertThat(rows).hasSize(2).allSatisfy(row -> {
            assertThat(row.getField(0))
                    .isIn(Notes.answer(Notes.text(0), "medical"), Notes.answer(Notes.text(1), "medical"));
            assertThat(row.getField(1)).isIn("a", "b");
            assertThat(row.getField(2)).isEqualTo("1");
            assertThat(((Row) row.getField(3)).getField("error_code")).isEqualTo("ADAPTER_NOT_FOUND");
            assertThat(row.<Integer>getFieldAs(4)).isPositive();
        });
        Sql.assertFails(
                () -> sql.rows(
                        "SELECT LLM_COMPLETE(text, 'unknown') FROM (VALUES (%s)) AS t (text)".formatted(note(0))),
                ErrorCode.ADAPTER_NOT_FOUND,
                "unknown");
    }

    @Test
    void allFunctionsOfATaskManagerShareOneEngine() {
        Sql sql = new Sql(STREAMING).loadModule();
        String note = "(VALUES (%s)) AS t (text)".formatted(note(0));
        assertThat(sql.rows("SELECT LLM_TOKENS(text) FROM " + note)).hasSize(1);
        int engines = SharedEngines.openEngines();

        assertThat(sql.rows("SELECT LLM_COMPLETE(text), LLM_COMPLETE(text, 'legal'), LLM_TOKENS(text) FROM " + note))
                .hasSize(1);
        assertThat(SharedEngines.openEngines()).isEqualTo(engines);
    }

    @Test
    void configurationMayNameTheParametersInWrittenForm() {
        Configuration configuration = new Configuration();
        configuration.setString(
                "pipeline.global-job-parameters",
                "llamafu.model:%s,llamafu.threads:1,llamafu.max-tokens:2"
                        .formatted(Sql.options().get("model").replace("file://", "")));
        Sql sql = new Sql(BATCH, configuration)
                .execute("CREATE TEMPORARY FUNCTION try_complete AS 'io.llamafu.flink.table.LlmTryComplete'");

        assertThat(((Row) sql.value("SELECT try_complete(text) FROM (VALUES ('a')) AS t (text)"))
                        .getField("generated_tokens"))
                .isEqualTo(2);
    }
}
