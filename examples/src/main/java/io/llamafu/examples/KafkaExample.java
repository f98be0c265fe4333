package io.llamafu.examples;

import io.llamafu.examples.cluster.BuildOutput;
import io.llamafu.examples.cluster.FlinkRest;
import io.llamafu.examples.cluster.LocalCluster;
import io.llamafu.examples.cluster.LocalKafka;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Starts a Kafka broker and a Flink cluster, feeds tickets to {@link KafkaJob}, and checks the committed answers. */
@Command(
        name = "examples/run kafka",
        description = "Reads tickets and routes from Kafka and writes answers to Kafka, exactly once, on a real"
                + " Flink cluster.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class KafkaExample implements ExampleCommand<KafkaReport> {
    @Option(
            names = "--tickets",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/tickets.jsonl",
            description = "The tickets to label.")
    private Path tickets;

    @Option(
            names = "--routes",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/routes.jsonl",
            description = "The routes: which tenant wants which adapters from when.")
    private Path routes;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/kafka",
            description = "Parent folder; each run creates new folders for the data and logs of the broker and the"
                    + " cluster.")
    private Path out;

    @Option(names = "--records", paramLabel = "N", defaultValue = "1000", description = "Number of tickets to send.")
    private int records;

    @Option(names = "--rate", paramLabel = "N", defaultValue = "100", description = "Tickets per second.")
    private double rate;

    @Option(
            names = "--task-managers",
            paramLabel = "N",
            defaultValue = "2",
            description = "Number of TaskManagers with one slot each; also the parallelism of the job.")
    private int taskManagers;

    @Option(
            names = "--kill-after",
            paramLabel = "N",
            defaultValue = "0",
            description = "Kills a TaskManager (kill -9) and starts another one when N answers are committed; 0"
                    + " kills none.")
    private int killAfter;

    @Option(
            names = "--checkpoint-interval",
            paramLabel = "MILLIS",
            defaultValue = "1000",
            description = "Milliseconds between checkpoints; answers become visible with them.")
    private long checkpointInterval;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "300",
            description = "Time limit for answering all tickets.")
    private long timeout;

    public static void main(String[] arguments) {
        Examples.runAndExit("kafka", new KafkaExample(), arguments);
    }

    @Override
    public KafkaReport run() throws Exception {
        ModelOptions.requireReadable(List.of(tickets, routes));
        model.requireReadable();
        List<Ticket> all = JsonLines.of(Ticket.class).readAll(tickets);
        List<Ticket> asked = all.subList(0, Math.min(records, all.size()));
        List<Route> routeChanges = JsonLines.of(Route.class).readAll(routes);

        System.err.println("Starting a Kafka broker and a Flink cluster in " + out);
        try (LocalKafka kafka = LocalKafka.start(out);
                LocalCluster cluster = LocalCluster.builder(out)
                        .library(BuildOutput.llamafuJar())
                        .taskManagers(taskManagers)
                        .start()) {
            kafka.createTopics(KafkaTopics.PARTITIONS);
            try (KafkaFeed feed = new KafkaFeed(kafka.address(), asked, rate);
                    KafkaValues<Answer> answers =
                            new KafkaValues<>(kafka.address(), KafkaTopics.ANSWERS, Answer.class)) {
                feed.sendRoutes(routeChanges);
                String job = submit(cluster.rest(), kafka.address(), asked, routeChanges.size());
                Progress progress = Progress.onStandardError(asked.size());
                KafkaRun run = new KafkaRun(cluster, job, feed, answers, progress);
                long start = System.nanoTime();
                run.follow(killAfter, Duration.ofSeconds(timeout));
                Duration duration = Duration.ofNanos(System.nanoTime() - start);
                return new KafkaReport(
                        RoutingReport.of(asked, answers.committed(), duration), run.restarts(), run.modelLoads());
            }
        }
    }

    private String submit(FlinkRest rest, String bootstrapServers, List<Ticket> asked, long routeChanges)
            throws Exception {
        List<String> arguments = new ArrayList<>(KafkaConnections.toArguments(
                bootstrapServers, KafkaFeed.ends(asked), routeChanges, taskManagers, checkpointInterval));
        arguments.addAll(model.toArguments());
        return rest.run(rest.upload(BuildOutput.jobJar()), KafkaJob.class.getName(), arguments);
    }
}
