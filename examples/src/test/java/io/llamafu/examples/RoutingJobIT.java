package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The example as users run it, on fewer tickets. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class RoutingJobIT {
    @TempDir
    Path folder;

    @Test
    void everyTicketIsAnsweredOnceUnderTheStackOfItsRoute() throws Exception {
        Path tickets = firstTickets(500);
        long stacks = JsonLines.of(Ticket.class).readAll(tickets).stream()
                .map(Ticket::expectedStack)
                .distinct()
                .count();

        RoutingReport report = job("--tickets=" + tickets).run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.records()).isEqualTo(500);
        assertThat(report.completions()).isEqualTo(500);
        assertThat(report.exactMatch()).isGreaterThanOrEqualTo(0.97);
        assertThat(report.stacks()).hasSize((int) stacks);
        assertThat(report.tokensPerSecond()).isPositive();
    }

    @Test
    void errorsMakeTheExampleFail() throws Exception {
        Path noAdapters = Files.createDirectory(folder.resolve("adapters"));

        RoutingReport report =
                job("--tickets=" + firstTickets(40), "--adapters=" + noAdapters).run();

        assertThat(report.errors()).isPositive();
        assertThat(report.completions() + report.errors()).isEqualTo(40);
        assertThat(report.isSound()).isFalse();
    }

    private RoutingJob job(String... arguments) {
        List<String> all = new ArrayList<>(List.of(arguments));
        all.add("--out=" + folder);
        all.add("--checkpoint-interval=200");
        return CommandLine.populateCommand(new RoutingJob(), all.toArray(new String[0]));
    }

    private Path firstTickets(int count) throws IOException {
        Path all = Path.of(System.getProperty("llamafu.examples"), "data", "tickets.jsonl");
        try (Stream<String> lines = Files.lines(all)) {
            return Files.write(
                    folder.resolve("tickets.jsonl"), lines.limit(count).toList());
        }
    }
}
