package io.llamafu.examples.benchmark;

import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.Completion;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.accumulators.LongMaximum;
import org.apache.flink.api.common.accumulators.LongMinimum;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource.NumberSequenceSplit;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiter;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.FileUtils;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.IntStream;

/**
 * A whole job in a cluster in this JVM: records by tenant, keyed routing in RocksDB, unaligned checkpoints every
 * second, completions. Records start when the first checkpoint is complete, so all subtasks run and all routes are
 * known. The source does not end, because checkpoints would then wait for the remaining completions; the job is
 * cancelled after the last one. The engine is thus empty at the beginning and at the end, as in the measurement of the
 * engine alone.
 *
 * @param checkpoints the folder for them
 */
record PipelineJob(LlamafuOptions options, int parallelism, Path checkpoints) {
    static final int SEQUENCES = 16;

    private static final int RANK = 16;
    private static final int CONTEXT_SIZE = 256;
    private static final Duration REQUEST_TIMEOUT = Duration.ofMinutes(30);
    private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(1);
    private static final Duration HEARTBEAT_INTERVAL = Duration.ofMillis(500);
    private static final double NANOS_PER_SECOND = 1e9;

    private static final String FIRST_RECORD = "first-record";
    private static final String LAST_COMPLETION = "last-completion";
    private static final String COMPLETIONS = "completions";
    private static final String TOKENS = "tokens";
    private static final String CHECKPOINTS = "checkpoints";

    /** @param checkpoints completed since the first completion */
    record Run(double seconds, long checkpoints) {}

    /** A measurement of a job with one of the models. */
    @FunctionalInterface
    interface Measurement<R> {
        R of(RandomModel model, PipelineJob job) throws Exception;
    }

    /**
     * Measures a job with each model of the options.
     *
     * @param maxTokens of an answer
     */
    static <R> List<R> measure(BenchmarkOptions benchmark, int parallelism, int maxTokens, Measurement<R> measurement)
            throws Exception {
        BenchmarkOptions.warnIfBusy();
        RandomModels files = RandomModels.inCacheFolder();
        Path checkpoints = Files.createTempDirectory("llamafu-benchmark");
        List<R> results = new ArrayList<>();
        try {
            for (RandomModel model : benchmark.models()) {
                LlamafuOptions options = options(files, model, benchmark.threads(), maxTokens);
                results.add(measurement.of(model, new PipelineJob(options, parallelism, checkpoints)));
            }
        } finally {
            FileUtils.deleteDirectory(checkpoints.toFile());
        }
        return results;
    }

    /** Options for {@link #SEQUENCES} sequences with the adapters of a {@link PipelineWorkload}. */
    private static LlamafuOptions options(RandomModels files, RandomModel model, int threads, int maxTokens)
            throws IOException {
        return LlamafuOptions.builder()
                .model(files.model(model).toString())
                .adapters(files.adapters(model, RANK, PipelineWorkload.ADAPTERS).toString())
                .engine("native")
                .contextSize(CONTEXT_SIZE)
                .parallelSequences(SEQUENCES)
                .threads(threads)
                .answerMemo(MemorySize.ZERO)
                .maxTokens(maxTokens)
                .timeout(REQUEST_TIMEOUT)
                .build();
    }

    Run run(PipelineWorkload workload) throws Exception {
        JobClient job = start(workload);
        Map<String, Object> counts = await(job, workload.records());
        job.cancel().get();
        long tokens = (long) workload.records() * workload.tokens();
        if (!counts.get(TOKENS).equals(tokens)) {
            throw new IllegalStateException(
                    "The answers have %s tokens instead of %d.".formatted(counts.get(TOKENS), tokens));
        }
        long nanos = (Long) counts.get(LAST_COMPLETION) - (Long) counts.get(FIRST_RECORD);
        return new Run(nanos / NANOS_PER_SECOND, (Long) counts.get(CHECKPOINTS) / parallelism);
    }

    /** Submits the job, which runs until it is cancelled. */
    JobClient start(PipelineWorkload workload) throws Exception {
        StreamExecutionEnvironment env = environment();
        Llamafu.complete(records(env, workload))
                .keyBy(record -> record.f0)
                .prompt(record -> record.f1)
                .routes(env.fromData(TypeInformation.of(AdapterRoute.class), routes())
                        .assignTimestampsAndWatermarks(WatermarkStrategy.noWatermarks()))
                .with(options)
                .build()
                .map(new Meter())
                .sinkTo(new DiscardingSink<>());
        return env.executeAsync("pipeline");
    }

    /** The accumulators at the last completion. They arrive with the heartbeats; the times in them are exact. */
    private static Map<String, Object> await(JobClient job, long completions) throws Exception {
        while (true) {
            try {
                job.getJobExecutionResult().get(HEARTBEAT_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
                throw new IllegalStateException("The job has ended by itself.");
            } catch (TimeoutException stillRunning) {
                Map<String, Object> counts = job.getAccumulators().get();
                if (counts.getOrDefault(COMPLETIONS, 0L).equals(completions)) {
                    return counts;
                }
            }
        }
    }

    private StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        // A second attempt would be part of the measurement.
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        configuration.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    private static AdapterRoute[] routes() {
        return IntStream.range(0, PipelineWorkload.TENANTS)
                .mapToObj(tenant -> new AdapterRoute(String.valueOf(tenant), stackOf(tenant), 0L, null))
                .toArray(AdapterRoute[]::new);
    }

    private static String stackOf(int tenant) {
        return RandomModels.adapterName(PipelineWorkload.adapter(tenant));
    }

    /** Tenant and prompt. */
    private static DataStream<Tuple2<String, String>> records(
            StreamExecutionEnvironment env, PipelineWorkload workload) {
        TypeInformation<Tuple2<String, String>> type = Types.TUPLE(Types.STRING, Types.STRING);
        GeneratorFunction<Long, Tuple2<String, String>> record =
                index -> Tuple2.of(String.valueOf(PipelineWorkload.tenant(index)), workload.prompt(index));
        return env.fromSource(
                        new DataGeneratorSource<>(
                                record,
                                workload.records() + 1L,
                                sourceParallelism -> new AfterFirstCheckpoint(workload.records()),
                                type),
                        WatermarkStrategy.noWatermarks(),
                        "records")
                .setParallelism(1)
                .map(new StartClock())
                .returns(type)
                .setParallelism(1);
    }

    /** Releases a number of records and no more. */
    private static final class AfterFirstCheckpoint implements RateLimiter<NumberSequenceSplit> {
        private final CompletableFuture<Void> checkpointed = new CompletableFuture<>();
        private int left;

        private AfterFirstCheckpoint(int records) {
            left = records;
        }

        @Override
        public CompletionStage<Void> acquire(int records) {
            left -= records;
            return left >= 0 ? checkpointed : new CompletableFuture<>();
        }

        @Override
        public void notifyCheckpointComplete(long checkpoint) {
            checkpointed.complete(null);
        }
    }

    private static final class StartClock extends RichMapFunction<Tuple2<String, String>, Tuple2<String, String>> {
        private static final long serialVersionUID = 1L;

        private final LongMinimum firstRecord = new LongMinimum();

        @Override
        public void open(OpenContext context) {
            getRuntimeContext().addAccumulator(FIRST_RECORD, firstRecord);
        }

        @Override
        public Tuple2<String, String> map(Tuple2<String, String> record) {
            firstRecord.add(System.nanoTime());
            return record;
        }
    }

    private static final class Meter extends RichMapFunction<Completion, Completion> implements CheckpointListener {
        private static final long serialVersionUID = 1L;

        private final LongCounter completions = new LongCounter();
        private final LongCounter tokens = new LongCounter();
        private final LongCounter checkpoints = new LongCounter();
        private final LongMaximum lastCompletion = new LongMaximum();

        @Override
        public void open(OpenContext context) {
            getRuntimeContext().addAccumulator(COMPLETIONS, completions);
            getRuntimeContext().addAccumulator(TOKENS, tokens);
            getRuntimeContext().addAccumulator(CHECKPOINTS, checkpoints);
            getRuntimeContext().addAccumulator(LAST_COMPLETION, lastCompletion);
        }

        @Override
        public Completion map(Completion completion) {
            String routed = stackOf(Integer.parseInt(completion.getKey()));
            if (!completion.getStack().equals(routed)) {
                throw new IllegalStateException(
                        "A record was answered by '%s' instead of '%s'.".formatted(completion.getStack(), routed));
            }
            // The count last, so that a reader that sees it complete sees everything else complete.
            lastCompletion.add(System.nanoTime());
            tokens.add(completion.getGeneratedTokens());
            completions.add(1L);
            return completion;
        }

        @Override
        public void notifyCheckpointComplete(long checkpoint) {
            if (completions.getLocalValuePrimitive() > 0) {
                checkpoints.add(1L);
            }
        }
    }
}
