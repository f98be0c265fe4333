package io.llamafu.flink.table;

import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** The model is asked once, however often Flink calls a function. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class AskedOnceIT {
    private static final int RECORDS = 5;
    private static final String[] OPTIONS = {"answer-memo", "3 mb", "temperature", "0.5", "idle-timeout", "0 s"};
    private static final String[] DETERMINISTIC = {
        "answer-memo", "3 mb", "idle-timeout", "0 s", "packed-weights", "true", "deterministic", "true"
    };

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static Sql sql(String... options) {
        Sql sql = new Sql(STREAMING).loadModule(options);
        sql.env()
                .createTemporaryView(
                        "notes",
                        sql.env()
                                .fromValues(
                                        DataTypes.ROW(DataTypes.FIELD("text", DataTypes.STRING())),
                                        Notes.texts().stream()
                                                .limit(RECORDS)
                                                .map(Row::of)
                                                .toList()));
        return sql;
    }

    private static EngineMetrics metrics(Consumer<Sql> query) {
        return metrics(OPTIONS, query);
    }

    /** The work of the engine of {@link #sql} for a query. */
    private static EngineMetrics metrics(String[] options, Consumer<Sql> query) {
        EngineOptions ofTheEngine = LlamafuOptions.fromMap(Sql.options(options)).toEngineOptions();
        try (SharedEngines.Lease lease = SharedEngines.acquire(ofTheEngine)) {
            query.accept(sql(options));
            return lease.engine().metrics();
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "LLM_COMPLETE(text, 'medical') IN ('1', '2', '3')",
                "NULLIF(LLM_COMPLETE(text, 'medical'), 'x')",
                "CASE LLM_COMPLETE(text, 'medical') WHEN 'a' THEN 1 WHEN 'b' THEN 2 ELSE 3 END"
            })
    void modelIsAskedOnceForARecordHoweverOftenAnExpressionUsesTheAnswer(String expression) {
        EngineMetrics metrics = metrics(sql -> assertThat(sql.rows("SELECT %s FROM notes".formatted(expression)))
                .hasSize(RECORDS));
        assertThat(metrics.requests().submitted() - metrics.requests().memoHits())
                .isEqualTo(RECORDS);
        assertThat(metrics.requests().memoHits())
                .as("Flink calls it more than once")
                .isGreaterThanOrEqualTo(RECORDS);
    }

    /** A filter and two columns take the answer of a subquery, into which the planner copies the call for each of them. */
    @Test
    @EnabledOnOs(architectures = "amd64")
    void modelIsAskedOnceWhereThePlannerCopiesADeterministicCall() {
        EngineMetrics metrics = metrics(DETERMINISTIC, sql -> assertThat(sql.rows(
                        "SELECT answer, answer || '!' FROM (SELECT LLM_COMPLETE(text, 'medical') AS answer FROM notes)"
                                + " WHERE CHAR_LENGTH(answer) > 2"))
                .hasSize(RECORDS)
                .allSatisfy(row -> assertThat(row.getField(1)).isEqualTo(row.getField(0) + "!")));
        assertThat(metrics.requests().submitted() - metrics.requests().memoHits())
                .isEqualTo(RECORDS);
        assertThat(metrics.requests().memoHits())
                .as("Flink calls it more than once")
                .isGreaterThanOrEqualTo(RECORDS);
    }

    @Test
    void sinksOfAViewSeeTheSameAnswer(@TempDir Path folder) {
        EngineMetrics metrics = metrics(sql -> {
            sql.execute(
                    "CREATE TEMPORARY VIEW answered AS SELECT text, LLM_COMPLETE(text, 'medical') AS answer FROM notes");
            StatementSet statements = sql.env().createStatementSet();
            for (String sink : List.of("first_sink", "second_sink")) {
                sql.execute(("CREATE TABLE %s (answer STRING)"
                                + " WITH ('connector' = 'filesystem', 'path' = '%s', 'format' = 'raw')")
                        .formatted(sink, folder.resolve(sink).toUri()));
                statements.addInsertSql("INSERT INTO %s SELECT text || ' | ' || answer FROM answered".formatted(sink));
            }
            try {
                statements.execute().await();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(metrics.requests().submitted() - metrics.requests().memoHits())
                .isEqualTo(RECORDS);
        assertThat(lines(folder.resolve("first_sink")))
                .hasSize(RECORDS)
                .containsExactlyInAnyOrderElementsOf(lines(folder.resolve("second_sink")));
    }

    private static List<String> lines(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> !file.getFileName().toString().startsWith("."))
                    .flatMap(AskedOnceIT::linesOf)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Stream<String> linesOf(Path file) {
        try {
            return Files.readAllLines(file).stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
