package io.llamafu.examples;

import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.OutputFileConfig;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/**
 * Labels tickets with the adapters of their tenant's route at the ticket's event time, and scores the answers.
 *
 * <p>Tickets and route changes are two streams keyed by tenant. Event time decides the route of a ticket, so every run
 * gives the same answers. The output is transactional, so each answer appears once.
 */
@Command(
        name = "examples/run routing",
        description = "Labels tickets, each with the adapters of its tenant's route at the ticket's event time.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class RoutingJob implements ExampleCommand<RoutingReport> {
    private static final String ANSWERED = "answered";
    private static final Duration PROGRESS_INTERVAL = Duration.ofMillis(500);
    private static final DateTimeFormatter RUN_NAME =
            DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss-SSS").withZone(ZoneOffset.UTC);

    @Option(
            names = "--tickets",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/tickets.jsonl",
            description = "The tickets to label.")
    private java.nio.file.Path tickets;

    @Option(
            names = "--routes",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/data/routes.jsonl",
            description = "The routes: which tenant wants which adapters from when.")
    private java.nio.file.Path routes;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/target/routing",
            description = "Parent folder; each run creates a new folder for its answers and checkpoints.")
    private java.nio.file.Path out;

    @Option(names = "--parallelism", paramLabel = "N", defaultValue = "2", description = "Subtasks of each operator.")
    private int parallelism;

    @Option(
            names = "--checkpoint-interval",
            paramLabel = "MILLIS",
            defaultValue = "1000",
            description = "Milliseconds between checkpoints.")
    private long checkpointInterval;

    public static void main(String[] arguments) {
        Examples.runAndExit("routing", new RoutingJob(), arguments);
    }

    @Override
    public RoutingReport run() throws Exception {
        ModelOptions.requireReadable(List.of(tickets, routes));
        model.requireReadable();
        List<Ticket> asked = JsonLines.of(Ticket.class).readAll(tickets);
        java.nio.file.Path folder = out.resolve(RUN_NAME.format(Instant.now())).toAbsolutePath();
        java.nio.file.Path answers = Files.createDirectories(folder.resolve("answers"));
        System.err.println("Answers go to " + answers);

        StreamExecutionEnvironment env = environment(folder.resolve("checkpoints"));
        build(env, answers);
        JobExecutionResult result = follow(env.executeAsync("routing"), asked.size());

        Duration duration = Duration.ofMillis(result.getNetRuntime(TimeUnit.MILLISECONDS));
        return RoutingReport.of(asked, readAnswers(answers), duration);
    }

    private StreamExecutionEnvironment environment(java.nio.file.Path checkpoints) {
        Configuration configuration = new Configuration();
        configuration.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(checkpointInterval));
        // Tickets queue before the model, and an aligned checkpoint would wait for all of them.
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 3);
        // No record may fall back to Kryo.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        // Progress comes from accumulators, which are sent with the heartbeats.
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, PROGRESS_INTERVAL);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    private void build(StreamExecutionEnvironment env, java.nio.file.Path answers) {
        // One reader, to keep the order of the file.
        DataStream<Ticket> ticketStream = env.fromSource(
                        FileSource.forRecordStreamFormat(JsonLines.of(Ticket.class), flinkPath(tickets))
                                .build(),
                        TicketWatermarks.strategy(),
                        "tickets")
                .uid("tickets")
                .setParallelism(1);
        // At the end of a file its watermark goes to the end of time. An endless source of rare changes would need
        // withIdleness.
        DataStream<Route> routeStream = env.fromSource(
                        FileSource.forRecordStreamFormat(JsonLines.of(Route.class), flinkPath(routes))
                                .build(),
                        WatermarkStrategy.<Route>forMonotonousTimestamps()
                                .withTimestampAssigner((route, time) -> route.eventTime()),
                        "routes")
                .uid("routes")
                .setParallelism(1);

        Llamafu.complete(ticketStream)
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(Ticket::text)
                .routes(routeStream.map(Route::toAdapterRoute))
                .eventTime()
                .with(model.toLlamafuOptions(OnError.EMIT))
                .build()
                .map(new ToLine())
                .name("answers as JSON")
                .sinkTo(FileSink.<String>forRowFormat(flinkPath(answers), new SimpleStringEncoder<>())
                        .withBucketAssigner(new BasePathBucketAssigner<>())
                        .withRollingPolicy(OnCheckpointRollingPolicy.build())
                        .withOutputFileConfig(OutputFileConfig.builder()
                                .withPartPrefix("answers")
                                .withPartSuffix(".jsonl")
                                .build())
                        .build())
                .name("answers")
                .uid("answers");
    }

    private static Path flinkPath(java.nio.file.Path path) {
        return new Path(path.toUri());
    }

    private static JobExecutionResult follow(JobClient job, long total) throws Exception {
        CompletableFuture<JobExecutionResult> end = job.getJobExecutionResult();
        Progress progress = Progress.onStandardError(total);
        long answered = 0;
        while (true) {
            try {
                JobExecutionResult result = end.get(PROGRESS_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
                progress.end(result.<Long>getAccumulatorResult(ANSWERED));
                return result;
            } catch (TimeoutException e) {
                answered = answered(job, answered);
                progress.show(answered);
            } catch (ExecutionException e) {
                progress.abort();
                throw e;
            }
        }
    }

    /**
     * The previous value if the job does not respond, because it is starting or has ended together with its cluster.
     */
    private static long answered(JobClient job, long before) throws InterruptedException {
        try {
            Map<String, Object> counts = job.getAccumulators().get(PROGRESS_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
            return (Long) counts.getOrDefault(ANSWERED, before);
        } catch (ExecutionException | TimeoutException | IllegalStateException e) {
            return before;
        }
    }

    /** Only committed files; a part in progress is a hidden file. */
    private static List<Answer> readAnswers(java.nio.file.Path folder) throws IOException {
        List<Answer> answers = new ArrayList<>();
        try (Stream<java.nio.file.Path> files = Files.list(folder)) {
            for (java.nio.file.Path file : files.sorted().toList()) {
                if (!file.getFileName().toString().startsWith(".")) {
                    answers.addAll(JsonLines.of(Answer.class).readAll(file));
                }
            }
        }
        return answers;
    }

    private static final class ToLine extends RichMapFunction<Completion, String> {
        private static final long serialVersionUID = 1L;

        private final LongCounter answered = new LongCounter();

        @Override
        public void open(OpenContext context) {
            getRuntimeContext().addAccumulator(ANSWERED, answered);
        }

        @Override
        public String map(Completion completion) {
            answered.add(1L);
            return JsonLines.write(Answer.of(completion));
        }
    }
}
