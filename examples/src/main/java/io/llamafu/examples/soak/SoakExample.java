package io.llamafu.examples.soak;

import io.llamafu.examples.Examples;
import io.llamafu.examples.JsonLines;
import io.llamafu.examples.KafkaConnections;
import io.llamafu.examples.ModelOptions;
import io.llamafu.examples.cluster.BuildOutput;
import io.llamafu.examples.cluster.CommittedRecords;
import io.llamafu.examples.cluster.FlinkRest;
import io.llamafu.examples.cluster.LocalCluster;
import io.llamafu.examples.cluster.LocalKafka;
import io.llamafu.flink.OnError;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;

/** Runs {@link SoakJob} on a cluster under hostile input, kills and publications, and checks every outcome. */
@Command(
        name = "examples/run soak",
        description = "Answers records under 16 stacks, one in ten hostile, from Kafka to Kafka on a real"
                + " cluster, while TaskManagers are killed and adapters published. Every healthy record"
                + " must be answered exactly, and every record must have one outcome.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class SoakExample implements Callable<Integer> {
    private static final double MILLIS_PER_MINUTE = 60_000;
    private static final double MILLIS_PER_SECOND = 1_000;
    private static final int TASK_MANAGERS = 2;
    /** Each text is asked under every stack before the start. */
    private static final int TEXTS = 120;
    /** A text is certain if it gets the golden answers in this many rounds of questions in random order. */
    private static final int CERTAIN_ROUNDS = 3;
    /** The greatest share of uncertain golden texts. */
    private static final double MOST_UNCERTAIN = 0.1;
    /** From the creation of the schedule to its first record. */
    private static final Duration LEAD = Duration.ofSeconds(5);

    @Option(
            names = "--minutes",
            paramLabel = "N",
            defaultValue = "30",
            description = "How long records are sent. Memory is judged in runs of 20 minutes or more.")
    private double minutes;

    @Option(names = "--rate", paramLabel = "N", defaultValue = "40", description = "Records per second.")
    private double rate;

    @Option(
            names = "--hostile",
            paramLabel = "KIND",
            split = ",",
            description = "Kinds of hostile records, which take turns: ${COMPLETION-CANDIDATES}. Default: all.")
    private List<HostileKind> hostile = List.of(HostileKind.values());

    @Option(
            names = "--malformed-routes",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = "Whether one route change in ten is malformed.")
    private boolean malformedRoutes;

    @Option(
            names = "--kill-every",
            paramLabel = "SECONDS",
            defaultValue = "120",
            description = "Time between two kills (kill -9) of a TaskManager; at most half of the run.")
    private long killEvery;

    @Option(
            names = "--publish-every",
            paramLabel = "MILLIS",
            defaultValue = "3000",
            description = "Time between two publications of an adapter.")
    private long publishEvery;

    @Option(
            names = "--checkpoint-interval",
            paramLabel = "MILLIS",
            defaultValue = "2000",
            description = "Milliseconds between checkpoints.")
    private long checkpointInterval;

    @Option(
            names = "--patience",
            paramLabel = "SECONDS",
            defaultValue = "180",
            description = "Time limit from the last record to the end of the job.")
    private long patience;

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/soak",
            description = "Parent folder; each run creates new folders for the data and logs of the broker and the"
                    + " cluster.")
    private Path out;

    @Option(
            names = "--golden",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/models/golden.jsonl",
            description = "The model's right answers.")
    private Path golden;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    public static void main(String[] arguments) {
        Examples.runAndExit("soak", new SoakExample(), arguments);
    }

    @Override
    public Integer call() throws Exception {
        SoakReport report = run();
        System.out.println();
        System.out.print(report.table());
        System.out.println();
        System.out.println(JsonLines.write(report));
        return report.isSound() ? 0 : 1;
    }

    SoakReport run() throws Exception {
        model.requireReadable();
        Findings findings = new Findings();
        GoldenAnswers answers = certainAnswers(findings);
        Files.createDirectories(out);
        AdapterFolder adapters =
                new AdapterFolder(model.adapters(), Files.createTempDirectory(out.toAbsolutePath(), "adapters-"));

        System.err.println("Starting a Kafka broker and a Flink cluster in " + out);
        try (LocalKafka kafka = LocalKafka.start(out);
                LocalCluster cluster = cluster()) {
            Map<String, Integer> topics = new HashMap<>(SoakTopics.INPUTS);
            topics.putAll(SoakTopics.OUTPUTS);
            kafka.createTopics(topics);
            Duration duration = Duration.ofMillis((long) (minutes * MILLIS_PER_MINUTE));
            Schedule schedule = new Schedule(
                    answers.texts(),
                    hostile,
                    malformedRoutes,
                    rate,
                    duration,
                    System.currentTimeMillis() + LEAD.toMillis());
            String job = submit(cluster.rest(), kafka.address(), schedule, adapters.path());
            MemoryCurve memory = new MemoryCurve();
            ClusterWatch watch = new ClusterWatch(cluster, job, findings, memory);
            Ledger ledger = new Ledger(schedule, answers, adapters, findings);
            try (Feed feed = new Feed(kafka.address(), schedule);
                    CommittedRecords outputs = new CommittedRecords(kafka.address(), SoakTopics.OUTPUTS)) {
                new SoakRun(schedule, feed, outputs, ledger, adapters, watch, findings)
                        .follow(
                                duration,
                                min(Duration.ofSeconds(killEvery), duration.dividedBy(2)),
                                Duration.ofMillis(publishEvery),
                                Duration.ofSeconds(patience));
            }
            ledger.close();
            watch.close();
            return report(schedule, ledger, watch, adapters, memory, duration, findings);
        }
    }

    private GoldenAnswers certainAnswers(Findings findings) throws Exception {
        GoldenAnswers all = GoldenAnswers.read(golden).some(TEXTS);
        GoldenAnswers certain = all.certain(model.withoutMemo(OnError.FAIL), CERTAIN_ROUNDS);
        int uncertain = all.texts().size() - certain.texts().size();
        System.err.printf(
                "%d of %d texts have certain answers%n",
                certain.texts().size(), all.texts().size());
        if (uncertain > MOST_UNCERTAIN * all.texts().size()) {
            findings.broken(
                    Promise.CERTAIN_ANSWERS,
                    "%d of %d texts are not answered as in the golden file."
                            .formatted(uncertain, all.texts().size()));
        }
        return certain;
    }

    private LocalCluster cluster() throws Exception {
        return LocalCluster.builder(out)
                .library(BuildOutput.llamafuJar())
                .taskManagers(TASK_MANAGERS)
                // Texts of 5 MB are on the heap several times while in transit.
                .set("taskmanager.memory.flink.size", "1280m")
                // Touches the heap at the start, so that later growth has another cause.
                .set("env.java.opts.taskmanager", "-XX:+AlwaysPreTouch")
                .set("restart-strategy.fixed-delay.attempts", Integer.toString(Integer.MAX_VALUE))
                .set("web.exception-history-size", "1000")
                .set("web.checkpoints.history", "100")
                .start();
    }

    private String submit(FlinkRest rest, String bootstrapServers, Schedule schedule, Path adapters) throws Exception {
        List<String> arguments = new ArrayList<>(KafkaConnections.toArguments(
                bootstrapServers, schedule.recordsEnd(), schedule.routes().size(), TASK_MANAGERS, checkpointInterval));
        arguments.addAll(model.toArguments(adapters));
        return rest.run(rest.upload(BuildOutput.jobJar()), SoakJob.class.getName(), arguments);
    }

    private SoakReport report(
            Schedule schedule,
            Ledger ledger,
            ClusterWatch watch,
            AdapterFolder adapters,
            MemoryCurve memory,
            Duration duration,
            Findings findings) {
        OptionalDouble growth = memory.growth(watch.longestLived(), duration);
        OptionalDouble growthSameAge = memory.growthOfSameAge(watch.longestLived());
        judge(growth, "of the TaskManager that lives throughout", findings);
        judge(growthSameAge, "of those that are killed, at the same age,", findings);
        Map<Promise, List<String>> evidence = new EnumMap<>(Promise.class);
        findings.counts().keySet().forEach(promise -> evidence.put(promise, findings.evidence(promise)));
        return new SoakReport(
                minutes,
                schedule.records(),
                ledger.exact(),
                ledger.answers(),
                ledger.deadLetters(),
                ledger.hostile(),
                ledger.rejectedChanges(),
                adapters.publications(),
                watch.kills(),
                watch.restarts(),
                watch.longestOutageMillis() / MILLIS_PER_SECOND,
                watch.completedCheckpoints(),
                watch.failedCheckpoints(),
                watch.longestCheckpointMillis(),
                memory.minutes(watch.longestLived()),
                memory.sameAge(watch.longestLived()),
                growth.isPresent() ? growth.getAsDouble() : null,
                growthSameAge.isPresent() ? growthSameAge.getAsDouble() : null,
                findings.counts(),
                evidence);
    }

    private static void judge(OptionalDouble growth, String whose, Findings findings) {
        if (growth.orElse(0) > MemoryCurve.MOST_GROWTH) {
            findings.broken(
                    Promise.FLAT_MEMORY,
                    "The memory %s has grown by %.1f %%.".formatted(whose, 100 * growth.getAsDouble()));
        }
    }

    private static Duration min(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
