package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A changelog: each ticket is corrected once, and some are deleted. Answers to the old text must be retracted. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SqlUpdatesIT {
    private static final int TICKETS = 30;
    private static final int CORRECTION = 100;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private Sql sql;

    @BeforeEach
    void createTickets() {
        List<Row> changes = new ArrayList<>();
        for (int id = 0; id < TICKETS; id++) {
            changes.add(Row.ofKind(RowKind.INSERT, id, Notes.text(id)));
        }
        for (int id = 0; id < TICKETS; id++) {
            if (isTakenBack(id)) {
                changes.add(Row.ofKind(RowKind.DELETE, id, Notes.text(id)));
            } else {
                changes.add(Row.ofKind(RowKind.UPDATE_BEFORE, id, Notes.text(id)));
                changes.add(Row.ofKind(RowKind.UPDATE_AFTER, id, Notes.text(id + CORRECTION)));
            }
        }
        sql = new Sql(STREAMING).loadModule();
        sql.env()
                .createTemporaryView(
                        "tickets",
                        sql.env()
                                .fromChangelogStream(
                                        sql.execution()
                                                .fromData(
                                                        Types.ROW_NAMED(
                                                                new String[] {"id", "text"}, Types.INT, Types.STRING),
                                                        changes.toArray(new Row[0])),
                                        Schema.newBuilder()
                                                .column("id", DataTypes.INT().notNull())
                                                .column("text", DataTypes.STRING())
                                                .primaryKey("id")
                                                .build(),
                                        ChangelogMode.all()));
    }

    private static boolean isTakenBack(int id) {
        return id % 5 == 0;
    }

    /** The final texts. */
    private static List<String> lastTexts() {
        return IntStream.range(0, TICKETS)
                .filter(id -> !isTakenBack(id))
                .mapToObj(id -> Notes.text(id + CORRECTION))
                .toList();
    }

    /** The final count of each row of a changelog. */
    private static Map<Row, Integer> net(List<Row> changes) {
        Map<Row, Integer> counts = new HashMap<>();
        for (Row change : changes) {
            boolean isGone = change.getKind() == RowKind.DELETE || change.getKind() == RowKind.UPDATE_BEFORE;
            Row row = Row.copy(change);
            row.setKind(RowKind.INSERT);
            counts.merge(row, isGone ? -1 : 1, Integer::sum);
        }
        counts.values().removeIf(count -> count == 0);
        return counts;
    }

    @Test
    void answersAreRetracted() {
        Map<Row, Integer> expected = new HashMap<>();
        lastTexts().forEach(text -> expected.merge(Row.of(Notes.answer(text, "medical")), 1, Integer::sum));

        assertThat(net(sql.rows("SELECT LLM_COMPLETE(text, 'medical') FROM tickets")))
                .isEqualTo(expected);
    }

    /** A count raised by an answer to the old text is lowered by the same answer. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "LLM_COMPLETE(text, 'medical')",
                "LLM_TRY_COMPLETE(text, 'legal').answer",
                "LLM_CLASSIFY(text, ARRAY['expense', 'refund', 'illness', 'contract'], 'finance')",
                "LLM_EXTRACT(text, '{\"type\": \"string\", \"maxLength\": 12}', 'formal')",
                "LLM_TOKENS(text)",
            })
    void countsOfAnswersFollowTheUpdates(String call) {
        Map<Row, Integer> counts = net(sql.rows(
                "SELECT answer, COUNT(*) FROM (SELECT %s AS answer FROM tickets) GROUP BY answer".formatted(call)));

        String texts = "(VALUES %s) AS t (text)"
                .formatted(String.join(
                        ", ",
                        lastTexts().stream()
                                .map(text -> "(" + Sql.literal(text) + ")")
                                .toList()));
        assertThat(counts)
                .isEqualTo(net(sql.rows("SELECT answer, COUNT(*) FROM (SELECT %s AS answer FROM %s) GROUP BY answer"
                        .formatted(call, texts))));
        assertThat(counts.keySet().stream()
                        .mapToLong(row -> row.<Long>getFieldAs(1))
                        .sum())
                .isEqualTo(lastTexts().size());
    }

    @Test
    void filtersFollowTheUpdates() {
        long none = lastTexts().stream()
                .filter(text -> Notes.answer(text, "medical").startsWith("no "))
                .count();

        assertThat(net(sql.rows("SELECT id FROM tickets WHERE LLM_COMPLETE(text, 'medical') LIKE 'no %'")))
                .hasSize((int) none);
    }

    private static final String COUNTS =
            "SELECT answer, COUNT(*) FROM (SELECT LLM_COMPLETE(text, 'medical') AS answer FROM tickets) GROUP BY answer";

    private void requireDeterminism() {
        sql.env().getConfig().set("table.optimizer.non-deterministic-update.strategy", "TRY_RESOLVE");
    }

    private void loadDeterministicModule() {
        sql.execute("UNLOAD MODULE llamafu").loadModule("packed-weights", "true", "deterministic", "true");
    }

    /** Flink accepts non-deterministic functions unless it is told to check. */
    @Test
    void plannerThatMustResolveNonDeterminismRefuses() {
        requireDeterminism();

        assertThatThrownBy(() -> sql.rows(COUNTS)).hasStackTraceContaining("LLM_COMPLETE");
    }

    /** A group and a sink without a primary key, both of which retract what was asked again. */
    @Test
    @EnabledOnOs(architectures = "amd64")
    void plannerThatMustResolveNonDeterminismAcceptsDeterministicFunctions() {
        loadDeterministicModule();
        requireDeterminism();

        Map<String, Long> expected = lastTexts().stream()
                .collect(Collectors.groupingBy(text -> Notes.answer(text, "medical"), Collectors.counting()));
        assertThat(net(sql.rows(COUNTS)))
                .isEqualTo(expected.entrySet().stream()
                        .collect(Collectors.toMap(count -> Row.of(count.getKey(), count.getValue()), count -> 1)));
        assertThat(net(sql.rows("SELECT LLM_COMPLETE(text, 'medical') FROM tickets")))
                .isEqualTo(expected.entrySet().stream()
                        .collect(Collectors.toMap(
                                count -> Row.of(count.getKey()), count -> Math.toIntExact(count.getValue()))));
        assertThatThrownBy(() ->
                        sql.rows(COUNTS.replace("LLM_COMPLETE(text, 'medical')", "LLM_TRY_COMPLETE(text).answer")))
                .hasStackTraceContaining("LLM_TRY_COMPLETE");
    }

    /** The planner has relied on what the function of the module declares. */
    @ParameterizedTest
    @EnabledOnOs(architectures = "amd64")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "'on-error', 'null'   | deterministic 'true' and on-error 'null'",
                "'profile', 'another' | deterministic 'false' and on-error 'fail'"
            })
    void callThatIsLessDeterministicThanItsFunctionIsRefused(String options, String reason) {
        loadDeterministicModule();
        Map<String, String> parameters = new HashMap<>();
        Sql.options().forEach((key, value) -> parameters.put("llamafu.profile.another." + key, value));
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);

        Sql.assertFails(
                () -> sql.rows("SELECT LLM_COMPLETE(text, '', MAP[%s]) FROM tickets".formatted(options)),
                ErrorCode.INVALID_OPTION,
                "LLM_COMPLETE is declared deterministic",
                reason);
    }
}
