package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.examples.cluster.LocalKafka;
import io.llamafu.examples.cluster.Waiting;
import org.apache.flink.core.execution.JobClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;

/**
 * Starts a Kafka broker, sends a rule, runs {@link CanaryJob} in this process, and sends it tickets until its decision has
 * taken effect.
 */
@Command(
        name = "examples/run canary",
        description = {
            "Lets a new adapter answer a tenth of the tenants, and promotes it or rolls it back by its answers.",
            "Exit code: 0 if there was a decision and all tickets after it were answered accordingly."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class CanaryExample implements ExampleCommand<CanaryReport> {
    private static final String SUBJECT = "medical/";
    private static final AdapterStack RIGHT = AdapterStack.of("medical");
    private static final Duration TIMEOUT = Duration.ofMinutes(2);
    private static final Duration POLL = Duration.ofMillis(50);
    private static final int TENANTS = 200;
    /** A ticket of half of the tenants. */
    private static final int WAVE = 100;

    private static final int MOST_WAVES = 40;
    private static final int PARALLELISM = 2;
    private static final long CHECKPOINT_MILLIS = 200;

    @Option(
            names = "--current",
            paramLabel = "STACK",
            defaultValue = "medical:0.5",
            description = "The stack in production.")
    private String current;

    @Option(
            names = "--candidate",
            paramLabel = "STACK",
            defaultValue = "medical",
            description = "The stack that might replace it.")
    private String candidate;

    @Option(
            names = "--percent",
            paramLabel = "N",
            defaultValue = "10",
            description = "The share of the tenants that the candidate answers.")
    private int percent;

    @Option(
            names = "--minimum",
            paramLabel = "N",
            defaultValue = "20",
            description = "The answers of the candidate after which it is judged.")
    private int minimum;

    @Option(
            names = "--notes",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/models/golden.jsonl",
            description = "Notes with their right answers, of which the tickets are made.")
    private Path notes;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/canary",
            description = "Parent folder; each run creates a new folder for the data and logs of the broker.")
    private Path out;

    public static void main(String[] arguments) {
        Examples.runAndExit("canary", new CanaryExample(), arguments);
    }

    @Override
    public CanaryReport run() throws Exception {
        ModelOptions.requireReadable(List.of(notes));
        model.requireReadable();
        CanaryRule rule = new CanaryRule(current, candidate, percent);
        List<Ticket> tickets = tickets();

        System.err.println("Starting a Kafka broker in " + out);
        try (LocalKafka kafka = LocalKafka.start(out)) {
            kafka.createTopics(KafkaTopics.PARTITIONS);
            try (KafkaFeed feed = new KafkaFeed(kafka.address(), tickets, 0)) {
                feed.send(KafkaTopics.RULES, CanaryRule.NAME, JsonLines.write(rule));
                JobClient job = CanaryJob.start(arguments(kafka.address()).toArray(new String[0]));
                try {
                    return follow(kafka.address(), feed, rule);
                } finally {
                    cancel(job);
                }
            }
        }
    }

    private static void cancel(JobClient job) throws InterruptedException {
        try {
            job.cancel().get();
        } catch (ExecutionException e) {
            System.err.println("The job had ended by itself: " + e.getCause());
        }
    }

    private List<Ticket> tickets() throws Exception {
        List<GoldenNote> all = JsonLines.of(GoldenNote.class).readAll(notes).stream()
                .filter(note -> note.set().startsWith(SUBJECT))
                .toList();
        List<Ticket> tickets = new ArrayList<>();
        for (int i = 0; i < MOST_WAVES * WAVE; i++) {
            GoldenNote note = all.get(i % all.size());
            tickets.add(
                    new Ticket("T" + i, "tenant-" + i % TENANTS, i, note.text(), RIGHT.toString(), note.answer(RIGHT)));
        }
        return tickets;
    }

    private List<String> arguments(String bootstrapServers) {
        List<String> arguments =
                new ArrayList<>(KafkaConnections.toArguments(bootstrapServers, PARALLELISM, CHECKPOINT_MILLIS));
        arguments.addAll(model.toArguments());
        arguments.addAll(List.of("--current=" + current, "--candidate=" + candidate, "--minimum=" + minimum));
        return arguments;
    }

    /** Sends wave by wave until one of them was answered by the winner alone. */
    private CanaryReport follow(String bootstrapServers, KafkaFeed feed, CanaryRule rule) throws Exception {
        try (KafkaValues<EnrichedTicket> answers =
                        new KafkaValues<>(bootstrapServers, KafkaTopics.ANSWERS, EnrichedTicket.class);
                KafkaValues<CanaryRule> rules =
                        new KafkaValues<>(bootstrapServers, KafkaTopics.RULES, CanaryRule.class)) {
            CanaryReport report = CanaryReport.of(rule, List.of(), List.of(), WAVE);
            for (int wave = 1; wave <= MOST_WAVES && !report.isSound(); wave++) {
                int sent = wave * WAVE;
                feed.sendFirst(sent);
                Waiting.until("%d tickets are answered".formatted(sent), TIMEOUT, () -> {
                    answers.poll(POLL);
                    rules.poll(POLL);
                    return answers.committed().size() >= sent;
                });
                report = CanaryReport.of(rule, answers.committed(), rules.committed(), WAVE);
            }
            return report;
        }
    }
}
