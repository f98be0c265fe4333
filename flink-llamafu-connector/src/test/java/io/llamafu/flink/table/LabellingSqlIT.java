package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.assertj.core.api.Assertions.assertThat;

/** The SQL of docs/labelling.md labels files as written there, except for its folders. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class LabellingSqlIT {
    private static final Pattern BLOCK = Pattern.compile("^```sql\\n(.*?)^```", Pattern.MULTILINE | Pattern.DOTALL);
    private static final int TICKETS = 20;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @TempDir
    Path folder;

    @Test
    void batchSqlLabelsFiles() throws IOException {
        LlamafuOptions options = Notes.options().build();
        Path tickets = Files.createDirectory(folder.resolve("tickets"));
        Files.write(
                tickets.resolve("a.json"),
                IntStream.range(0, TICKETS)
                        .mapToObj(i -> "{\"id\": %d, \"text\": \"%s\"}"
                                .formatted(i, Notes.text(i).replace("\"", "\\\"")))
                        .toList());
        Sql sql = new Sql(BATCH);

        Matcher blocks = BLOCK.matcher(Files.readString(Path.of("../docs/labelling.md")));
        while (blocks.find()) {
            String block = blocks.group(1)
                    .replace(
                            "/models/base.gguf",
                            Path.of(URI.create(options.toMap().get("model"))).toString())
                    .replace("/models/adapters", options.toMap().get("adapters"))
                    .replace("/data/", folder + "/");
            for (String statement : block.split(";\\s*(?:\\n|$)", -1)) {
                if (!statement.isBlank() && !statement.startsWith("SET")) {
                    sql.execute(statement.strip());
                }
            }
        }

        assertThat(lines("labelled"))
                .hasSize(TICKETS)
                .allMatch(line -> line.contains("\"label\":\"expense: travel\"")
                        || line.contains("\"label\":\"refund: travel\""));
        List<String> answered = lines("answered");
        assertThat(answered).hasSize(TICKETS);
        for (int i = 0; i < TICKETS; i++) {
            String answer = "\"answer\":\"%s\"".formatted(Notes.answer(Notes.text(i), "finance"));
            String id = "{\"id\":%d,".formatted(i);
            assertThat(answered).anyMatch(line -> line.startsWith(id) && line.contains(answer));
        }
    }

    private List<String> lines(String table) throws IOException {
        List<String> lines = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder.resolve(table))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                lines.addAll(Files.readAllLines(file));
            }
        }
        return lines;
    }
}
