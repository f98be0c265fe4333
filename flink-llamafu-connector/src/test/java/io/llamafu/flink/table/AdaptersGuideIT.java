package io.llamafu.flink.table;

import io.llamafu.flink.Notes;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** The SQL of {@code docs/adapters.md} runs as it is written there. */
@Timeout(180)
class AdaptersGuideIT {
    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static Row draft(int id, double creativity, double expertise) {
        return Row.of(id, Notes.text(id), creativity, expertise);
    }

    private static String snippet() throws IOException {
        Matcher snippet = Pattern.compile("(?ms)^```sql\\n(.*?);\\n```")
                .matcher(Files.readString(Path.of("../docs/adapters.md")));
        assertThat(snippet.results()).as("snippets").hasSize(1);
        assertThat(snippet.find(0)).isTrue();
        return snippet.group(1);
    }

    @Test
    void dialsOfARecordAreTheScalesOfItsStack() throws Exception {
        Path adapters = Path.of(Sql.options().get("adapters"));
        Sql sql = new Sql(RuntimeExecutionMode.STREAMING)
                .loadModule(
                        "adapters.files.creative",
                                adapters.resolve("medical.gguf").toString(),
                        "adapters.files.expert", adapters.resolve("formal.gguf").toString());
        sql.env()
                .createTemporaryView(
                        "drafts",
                        sql.env()
                                .fromValues(
                                        DataTypes.ROW(
                                                DataTypes.FIELD("id", DataTypes.INT()),
                                                DataTypes.FIELD("text", DataTypes.STRING()),
                                                DataTypes.FIELD("creativity", DataTypes.DOUBLE()),
                                                DataTypes.FIELD("expertise", DataTypes.DOUBLE())),
                                        draft(0, 1, 0),
                                        draft(1, 0.5, 0),
                                        draft(2, 1, 1)));

        assertThat(sql.rows(snippet()))
                .containsExactlyInAnyOrder(
                        Row.of(0, Notes.answer(Notes.text(0), "medical")),
                        Row.of(1, Notes.answer(Notes.text(1), "medical:0.5")),
                        Row.of(2, Notes.answer(Notes.text(2), "medical+formal")));
    }
}
