package io.llamafu.flink.table;

import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
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
    private static final String MEMO = "3 mb";

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static Sql sql() {
        Sql sql = new Sql(STREAMING).loadModule("answer-memo", MEMO, "temperature", "0.5", "idle-timeout", "0 s");
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

    /** The work of the engine of {@link #sql} for a query. */
    private static EngineMetrics metrics(Consumer<Sql> query) {
        LlamafuOptions options =
                LlamafuOptions.fromMap(Sql.options("answer-memo", MEMO, "temperature", "0.5", "idle-timeout", "0 s"));
        try (SharedEngines.Lease lease = SharedEngines.acquire(options.toEngineOptions())) {
            query.accept(sql());
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
        assertThat(metrics.requests() - metrics.memoHits()).isEqualTo(RECORDS);
        assertThat(metrics.memoHits()).as("Flink calls it more than once").isGreaterThanOrEqualTo(RECORDS);
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
        assertThat(metrics.requests() - metrics.memoHits()).isEqualTo(RECORDS);
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
