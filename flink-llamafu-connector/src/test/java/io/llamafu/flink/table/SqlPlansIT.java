package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.flink.Notes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** COMPILE PLAN in one session, EXECUTE PLAN in another. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SqlPlansIT {
    private static final int NOTES = 20;
    private static final String ALL_FUNCTIONS =
            "LLM_COMPLETE(line, 'medical') || ' / ' || LLM_CLASSIFY(line, ARRAY['a']) || ' / '"
                    + " || LLM_EXTRACT(line, '{\"enum\": [7]}', '', MAP['max-tokens', '9']) || ' / ' || LLM_TRY_COMPLETE(line).answer"
                    + " || ' / ' || CAST(LLM_TOKENS('') AS STRING)";

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @TempDir
    Path folder;

    @BeforeEach
    void writeNotes() throws IOException {
        Files.write(folder.resolve("notes.txt"), Notes.texts().subList(0, NOTES));
    }

    private Sql session(String... options) {
        return new Sql(STREAMING)
                .loadModule(options)
                .execute(table("notes", "notes.txt"))
                .execute(table("answers", "answers"))
                .createModel("triage", "text STRING, adapters STRING", "answer STRING");
    }

    private String table(String name, String file) {
        return "CREATE TABLE %s (line STRING) WITH ('connector' = 'filesystem', 'path' = '%s', 'format' = 'raw')"
                .formatted(name, folder.resolve(file).toUri());
    }

    private String plan() {
        return folder.resolve("plan.json").toString();
    }

    private List<String> answers() throws IOException {
        List<String> lines = new ArrayList<>();
        try (Stream<Path> files = Files.walk(folder.resolve("answers"))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                lines.addAll(Files.readAllLines(file));
            }
        }
        return lines;
    }

    @Test
    void functionsOfAPlanAreThoseOfTheSession() throws IOException {
        session()
                .execute("COMPILE PLAN '%s' FOR INSERT INTO answers SELECT %s FROM notes"
                        .formatted(plan(), ALL_FUNCTIONS));

        session().execute("EXECUTE PLAN '%s'".formatted(plan()));

        assertThat(answers())
                .containsExactlyInAnyOrderElementsOf(IntStream.range(0, NOTES)
                        .mapToObj(Notes::text)
                        .map(text ->
                                "%s / a / 7 / %s / 1".formatted(Notes.answer(text, "medical"), Notes.answer(text, "")))
                        .toList());
    }

    @Test
    void modelsOfAPlanAreThoseOfTheSessionWithTheConfigOfThePlan() throws IOException {
        session()
                .execute("COMPILE PLAN '%s' FOR INSERT INTO answers SELECT answer FROM ML_PREDICT(".formatted(plan())
                        + "(SELECT line, 'legal' AS stack FROM notes), MODEL triage, DESCRIPTOR(line, stack),"
                        + " MAP['grammar', 'root ::= \"constant\"', 'max-concurrent-operations', '4'])");

        session().execute("EXECUTE PLAN '%s'".formatted(plan()));

        assertThat(answers()).hasSize(NOTES).containsOnly("constant");
    }

    @Test
    void planIsCheckedAgainWhenItIsExecuted() {
        session()
                .execute("COMPILE PLAN '%s' FOR INSERT INTO answers SELECT LLM_COMPLETE(line) FROM notes"
                        .formatted(plan()));

        Sql.assertFails(
                () -> session("model", "/absent.gguf").execute("EXECUTE PLAN '%s'".formatted(plan())),
                ErrorCode.MODEL_NOT_FOUND,
                "absent.gguf");
    }
}
