package io.llamafu.flink.table;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

/**
 * The SQL of all pages is planned, page by page in one session, which has the module and the tables {@code tickets} and
 * {@code drafts}. {@link DocumentedSqlIT}, {@link AdaptersGuideIT} and {@link LabellingSqlIT} run what matters most.
 */
class DocumentedSqlTest {
    private static final Pattern SET = Pattern.compile("SET '(.+)' =\\s+'(.+)'");

    private static final Pattern VIEW = Pattern.compile("^CREATE TEMPORARY VIEW (\\w+)");

    @Test
    void statementsArePlanned() throws IOException {
        List<Snippet> snippets = Snippet.ofAllPages("sql");
        assertThat(snippets).hasSizeGreaterThanOrEqualTo(10);
        Path page = Path.of("");
        Sql session = session();
        int queries = 0;
        for (Snippet snippet : snippets) {
            if (!snippet.page().equals(page)) {
                page = snippet.page();
                session = session();
            }
            for (String statement : statements(snippet.text())) {
                Sql current = session;
                assertThatCode(() -> plan(current, statement))
                        .as("%s: %s", snippet, statement)
                        .doesNotThrowAnyException();
                queries += statement.startsWith("SELECT") || statement.startsWith("INSERT") ? 1 : 0;
            }
        }
        assertThat(queries).isGreaterThanOrEqualTo(10);
    }

    private static Sql session() {
        Sql sql = new Sql(STREAMING, new Configuration());
        createView(sql, "tickets", "id INT, text STRING, stack STRING", Row.of(1, "", ""));
        sql.loadModule();
        createView(sql, "drafts", "id INT, text STRING, creativity DOUBLE, expertise DOUBLE", Row.of(1, "", 0.0, 0.0));
        return sql;
    }

    private static void createView(Sql sql, String name, String columns, Row row) {
        sql.env()
                .createTemporaryView(
                        name,
                        sql.env()
                                .fromValues(
                                        DataTypes.of("ROW<%s>".formatted(columns))
                                                .notNull(),
                                        row));
    }

    private static List<String> statements(String text) {
        return Pattern.compile(";[ \\t]*(?:--.*)?(?:\\n|$)")
                .splitAsStream(text)
                .map(commented -> commented.replaceAll("(?m)^--.*$", "").strip())
                .filter(statement -> !statement.isEmpty())
                .toList();
    }

    private static void plan(Sql sql, String statement) {
        Matcher set = SET.matcher(statement);
        if (set.matches()) {
            if (set.group(1).equals("execution.runtime-mode")) {
                return; // A session of the Table API keeps the mode that it was created with.
            }
            sql.env().getConfig().getConfiguration().setString(set.group(1), set.group(2));
        } else if (statement.startsWith("SELECT") || statement.startsWith("INSERT")) {
            sql.env().explainSql(statement);
        } else {
            // The page makes its own of what the session has.
            Matcher view = VIEW.matcher(statement);
            if (view.find()) {
                sql.env().dropTemporaryView(view.group(1));
            }
            if (statement.startsWith("LOAD MODULE")
                    && List.of(sql.env().listModules()).contains("llamafu")) {
                sql.execute("UNLOAD MODULE llamafu");
            }
            sql.execute(statement);
        }
    }
}
