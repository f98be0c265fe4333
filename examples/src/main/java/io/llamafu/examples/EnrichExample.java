package io.llamafu.examples;

import io.llamafu.examples.cluster.LocalKafka;
import io.llamafu.examples.cluster.Waiting;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Starts a Kafka broker, sends routes and tickets, runs {@link EnrichJob} in this process, and checks what it wrote. */
@Command(
        name = "examples/run enrich",
        description = "Labels the tickets of a Kafka topic by the routes of a compacted topic, exactly once.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class EnrichExample implements ExampleCommand<EnrichReport> {
    private static final Duration READ_TIMEOUT = Duration.ofMinutes(1);
    private static final Duration POLL = Duration.ofMillis(100);
    private static final int PARALLELISM = 2;
    private static final long CHECKPOINT_MILLIS = 500;

    @Option(
            names = "--tickets",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/tickets.jsonl",
            description = "The tickets; those that the last route of their tenant is right for are sent.")
    private Path tickets;

    @Option(
            names = "--routes",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/routes.jsonl",
            description = "The routes, in their order; the topic keeps the last one of each tenant.")
    private Path routes;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/enrich",
            description = "Parent folder; each run creates a new folder for the data and logs of the broker.")
    private Path out;

    @Option(names = "--records", paramLabel = "N", defaultValue = "500", description = "The most tickets to send.")
    private int records;

    public static void main(String[] arguments) {
        Examples.runAndExit("enrich", new EnrichExample(), arguments);
    }

    @Override
    public EnrichReport run() throws Exception {
        ModelOptions.requireReadable(List.of(tickets, routes));
        model.requireReadable();
        List<Route> changes = JsonLines.of(Route.class).readAll(routes);
        Map<String, String> last = new HashMap<>();
        changes.forEach(change -> last.put(change.tenant(), change.stack()));
        // The tenant of the first change loses its route again.
        String removed = changes.get(0).tenant();
        last.remove(removed);
        List<Ticket> asked = JsonLines.of(Ticket.class).readAll(tickets).stream()
                .filter(ticket -> ticket.expectedStack().equals(last.getOrDefault(ticket.tenant(), "")))
                .limit(records)
                .toList();

        System.err.println("Starting a Kafka broker in " + out);
        try (LocalKafka kafka = LocalKafka.start(out)) {
            kafka.createTopics(KafkaTopics.PARTITIONS, Set.of(KafkaTopics.ROUTES));
            try (KafkaFeed feed = new KafkaFeed(kafka.address(), asked, 0)) {
                feed.sendRoutes(changes);
                feed.send(KafkaTopics.ROUTES, removed, null);
                feed.sendFirst(asked.size());
            }
            List<String> arguments = new ArrayList<>(KafkaConnections.toArguments(
                    kafka.address(), KafkaFeed.ends(asked), changes.size() + 1, PARALLELISM, CHECKPOINT_MILLIS));
            arguments.addAll(model.toArguments());
            EnrichJob.main(arguments.toArray(new String[0]));
            return EnrichReport.of(
                    asked, written(kafka, KafkaTopics.ANSWERS), written(kafka, KafkaTopics.DEAD_LETTERS));
        }
    }

    private static List<EnrichedTicket> written(LocalKafka kafka, String topic) throws Exception {
        try (KafkaValues<EnrichedTicket> values = new KafkaValues<>(kafka.address(), topic, EnrichedTicket.class)) {
            Waiting.until("the topic " + topic + " is read", READ_TIMEOUT, () -> {
                values.poll(POLL);
                return values.isAtEnd();
            });
            return values.committed();
        }
    }
}
