package io.llamafu.examples.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.flink.label.LabelJob;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The label job as the documentation starts it on a cluster: {@code flink run} with the jar to install. */
@Timeout(value = 600, unit = TimeUnit.SECONDS)
class LabelClusterIT {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int TICKETS = 2000;
    private static final int PART_ROWS = 100;
    private static final long RUN_SECONDS = 300;

    private static final Path DATA = BuildOutput.target().resolveSibling("data");

    private final Path folder = BuildOutput.target().resolve("label-cluster");
    private final Path output = folder.resolve("labelled-" + System.nanoTime());

    @Test
    void labelsEachTicketByItsRouteThoughATaskManagerIsKilledAndThenAsksNothingAgain() throws Exception {
        Files.createDirectories(folder);
        try (LocalCluster cluster = LocalCluster.builder(folder)
                .library(BuildOutput.llamafuJar())
                .taskManagers(2)
                .start()) {
            JavaProcess run = run(cluster);
            Waiting.until("some parts are labelled", NotesJobs.WAIT, () -> {
                run.requireAlive();
                return labelledFiles().size() >= 2;
            });
            cluster.kill(cluster.taskManagers().get(0));
            cluster.startTaskManager();
            String printed = run.awaitSuccess(RUN_SECONDS);

            assertThat(printed).contains("\"rows\": 2000, \"answered\": 2000, \"errors\": 0");
            assertThat(labelledFiles()).hasSize(TICKETS / PART_ROWS);
            List<JsonNode> rows = labelledFiles().stream()
                    .flatMap(file -> rows(file).stream())
                    .toList();
            assertThat(rows).hasSize(TICKETS).allSatisfy(row -> {
                assertThat(row.get("stack")).isEqualTo(row.get("expectedStack"));
                assertThat(row.get("answer")).isEqualTo(row.get("expected"));
            });
            assertThat(rows.stream().map(row -> row.get("id").asText()))
                    .isEqualTo(rows(DATA.resolve("tickets.jsonl")).stream()
                            .map(row -> row.get("id").asText())
                            .toList());

            assertThat(run(cluster).awaitSuccess(RUN_SECONDS))
                    .contains("\"rows\": 2000, \"answered\": 2000", "\"asked\": 0, \"generatedTokens\": 0");
        }
    }

    private JavaProcess run(LocalCluster cluster) throws IOException {
        return cluster.flinkRun(
                BuildOutput.llamafuJar(),
                LabelJob.class.getName(),
                List.of(
                        "--input=" + DATA.resolve("tickets.jsonl"),
                        "--output=" + output,
                        "--text-field=text",
                        "--routes=" + DATA.resolve("routes.jsonl"),
                        "--key-field=tenant",
                        "--time-field=eventTime",
                        "--part-rows=" + PART_ROWS,
                        "--parallelism=2",
                        "--model=" + NotesJobs.model(),
                        "--adapters=" + NotesJobs.adapters(),
                        "--prompt-template=### Text:\n{text}\n### Answer:\n",
                        "--threads=1",
                        "--max-tokens=48"));
    }

    private List<Path> labelledFiles() {
        if (!Files.isDirectory(output)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(output)) {
            return files.filter(file -> file.toString().endsWith(".jsonl"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<JsonNode> rows(Path file) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.map(LabelClusterIT::row).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static JsonNode row(String line) {
        try {
            return JSON.readTree(line);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
