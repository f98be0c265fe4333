package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CollectionUtil;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import javax.tools.ToolProvider;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** The SQL of the tutorial, and the SQL and Java of docs/sql.md, run as written there, except for the folder of the models. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class DocumentedSqlIT {
    private static final Path PAGE = Path.of("../docs/sql.md");
    private static final Path TUTORIAL = Path.of("../docs/tutorial.md");
    private static final Pattern SET = Pattern.compile("SET '(.+)' =\\s+'(.+)'");
    private static final List<Row> TICKETS = IntStream.range(0, 5)
            .mapToObj(id -> Row.of(id, Notes.text(id), List.of("medical", "").get(id % 2)))
            .toList();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @TempDir
    Path folder;

    @BeforeEach
    void copyModels() throws IOException {
        LlamafuOptions options = Notes.options().build();
        Path model = Path.of(java.net.URI.create(options.toMap().get("model")));
        Files.copy(model, folder.resolve("base.gguf"));
        Files.copy(model, folder.resolve("large.gguf"));
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        try (Stream<Path> files = Files.list(Path.of(options.toMap().get("adapters")))) {
            for (Path file : files.toList()) {
                Files.copy(file, adapters.resolve(file.getFileName()));
            }
        }
    }

    private List<String> blocks(Path page, String language) throws IOException {
        List<String> blocks = new ArrayList<>();
        Matcher fences = Pattern.compile("^```%s\\n(.*?)^```".formatted(language), Pattern.MULTILINE | Pattern.DOTALL)
                .matcher(Files.readString(page));
        while (fences.find()) {
            blocks.add(fences.group(1).replace("/models/", folder + "/"));
        }
        return blocks;
    }

    private static Sql tickets(RuntimeExecutionMode mode, Configuration configuration) {
        Sql sql = new Sql(mode, configuration);
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.env()
                                .fromValues(
                                        DataTypes.of("ROW<id INT, text STRING, stack STRING>")
                                                .notNull(),
                                        TICKETS));
        return sql;
    }

    @ParameterizedTest
    @EnumSource(names = {"STREAMING", "BATCH"})
    void statementsRun(RuntimeExecutionMode mode) throws IOException {
        int queries = 0;
        for (String block : blocks(PAGE, "sql")) {
            queries += run(tickets(mode, new Configuration()), block);
        }
        assertThat(queries).isGreaterThanOrEqualTo(4);
    }

    @Test
    void tutorialRunsInOneSession() throws IOException {
        Sql session = new Sql(RuntimeExecutionMode.STREAMING);
        assertThat(run(session, String.join("", blocks(TUTORIAL, "sql")))).isGreaterThanOrEqualTo(4);
    }

    /** Returns the number of queries, all of which have answers. */
    private static int run(Sql sql, String statements) {
        int queries = 0;
        for (String statement : Arrays.stream(statements.split(";\\s*(?:--.*)?\\n"))
                .map(commented -> commented.replaceAll("(?m)^--.*$", "").strip())
                .toList()) {
            Matcher set = SET.matcher(statement);
            if (set.matches()) {
                sql.env().getConfig().getConfiguration().setString(set.group(1), set.group(2));
            } else if (statement.startsWith("SELECT")) {
                assertThat(sql.rows(statement)).as(statement).isNotEmpty().allSatisfy(row -> assertThat(row.getField(1))
                        .isNotNull());
                queries++;
            } else {
                sql.execute(statement);
            }
        }
        return queries;
    }

    @Test
    void javaCompilesAndRuns() throws Exception {
        String snippet = String.join("", blocks(PAGE, "java"));
        Path source = Files.writeString(
                folder.resolve("Documented.java"),
                """
                import io.llamafu.flink.LlamafuOptions;
                import io.llamafu.flink.table.LlamafuModule;
                import io.llamafu.flink.table.LlmComplete;
                import org.apache.flink.table.api.*;
                import org.apache.flink.types.ColumnList;
                import java.util.List;
                import static org.apache.flink.table.api.Expressions.*;

                public class Documented {
                    public static List<Table> tables(TableEnvironment env, LlamafuOptions options, LlamafuOptions largeOptions) {
                %s
                        return List.of(labelled, answers);
                    }
                }
                """
                        .formatted(snippet));
        assertThat(ToolProvider.getSystemJavaCompiler()
                        .run(
                                null,
                                null,
                                null,
                                "-proc:none",
                                "-d",
                                folder.toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                source.toString()))
                .isZero();

        Sql sql = tickets(BATCH, new Configuration());
        LlamafuOptions options = Notes.options().build();
        try (URLClassLoader loader = new URLClassLoader(
                new URL[] {folder.toUri().toURL()}, getClass().getClassLoader())) {
            List<?> tables = (List<?>) loader.loadClass("Documented")
                    .getMethod("tables", TableEnvironment.class, LlamafuOptions.class, LlamafuOptions.class)
                    .invoke(null, sql.env(), options, options);
            for (Object table : tables) {
                assertThat(CollectionUtil.iteratorToList(
                                ((Table) table).execute().collect()))
                        .hasSize(TICKETS.size());
            }
        }
        assertThat(sql.value("SELECT ASK_LARGE(text, 'medical') FROM tickets WHERE id = 0"))
                .isEqualTo(Notes.answer(Notes.text(0), "medical"));
    }
}
