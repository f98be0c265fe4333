package io.llamafu.examples;

import org.junit.jupiter.api.Test;

import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class SqlScriptTest {
    private static final String SCRIPT =
            """
            SET 'x' = 'y';
            -- expect: rows = 2, n >= 3
            SELECT 1;
            -- Not an expectation.
            -- expect: total = 7
            SELECT 2;
            """;

    private static final String PRINTED =
            """
            [INFO] Execute statement succeeded.

            Flink SQL> SELECT 1;
            +---+------+
            | n | name |
            +---+------+
            | 1 |    a |
            | 4 |    b |
            +---+------+
            2 rows in set

            +----+-------+
            | op | total |
            +----+-------+
            | +I |     6 |
            | -U |     6 |
            | +U |     7 |
            +----+-------+
            Received a total of 3 rows
            """;

    @Test
    void lastRowOfEachTableIsCompared() {
        assertThat(SqlScript.compare(SqlScript.checks(SCRIPT), PRINTED)).isEmpty();
    }

    @Test
    void differencesAreToldInWords() {
        assertThat(SqlScript.compare(
                        SqlScript.checks(SCRIPT.replace("= 7", "= 8").replace("n >= 3", "m >= 3")), PRINTED))
                .containsExactly(
                        "Table 1: m >= 3 was expected, but it is absent.",
                        "Table 2: total = 8 was expected, but it is 7.");
    }

    @Test
    void eachTableHasItsExpectation() {
        assertThat(SqlScript.compare(SqlScript.checks(SCRIPT), ""))
                .containsExactly("The client printed 0 tables, but 2 were expected.");
    }

    @Test
    void malformedExpectationIsRefused() {
        assertThatThrownBy(() -> SqlScript.checks("-- expect: about 7\n")).hasMessageContaining("'about 7'");
    }

    @Test
    void foldersAreFilledIn() {
        assertThat(SqlScript.fillIn("'${out}/a' '${other}'", Map.of("out", Path.of("target"))))
                .isEqualTo("'target/a' '${other}'");
    }
}
