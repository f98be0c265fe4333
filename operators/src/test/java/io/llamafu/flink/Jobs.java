package io.llamafu.flink;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;

/** Common parts of the test jobs. */
final class Jobs {
    private Jobs() {}

    /** One TaskManager. */
    static MiniClusterExtension cluster(int slots) {
        return new MiniClusterExtension(new MiniClusterResourceConfiguration.Builder()
                .setNumberTaskManagers(1)
                .setNumberSlotsPerTaskManager(slots)
                .build());
    }

    /** RocksDB, a checkpoint every 100 ms, one restart, no Kryo. */
    static Configuration configuration(Path checkpoints) {
        Configuration configuration = new Configuration();
        configuration.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        configuration.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(100));
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        return configuration;
    }

    static StreamExecutionEnvironment environment(Configuration configuration, int parallelism) {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment.setParallelism(parallelism);
        return environment;
    }

    /** Of eight tenants; ids and event times count from 0. */
    static SingleOutputStreamOperator<Ticket> tickets(
            StreamExecutionEnvironment environment, int records, double perSecond) {
        return tickets(
                environment,
                new DataGeneratorSource<>(
                        generator(), records, RateLimiterStrategy.perSecond(perSecond), Types.POJO(Ticket.class)));
    }

    /** The same at the pace of the checkpoints. */
    static SingleOutputStreamOperator<Ticket> ticketsByCheckpoint(
            StreamExecutionEnvironment environment, int records, int perCheckpoint) {
        return tickets(
                environment,
                new DataGeneratorSource<>(
                        generator(),
                        records,
                        RateLimiterStrategy.perCheckpoint(perCheckpoint),
                        Types.POJO(Ticket.class)));
    }

    private static GeneratorFunction<Long, Ticket> generator() {
        List<String> texts = Notes.texts();
        return index -> new Ticket(
                String.valueOf(index), "tenant-" + index % 8, texts.get((int) (index % texts.size())), index);
    }

    private static SingleOutputStreamOperator<Ticket> tickets(
            StreamExecutionEnvironment environment, DataGeneratorSource<Ticket> source) {
        return environment
                .fromSource(
                        source,
                        WatermarkStrategy.<Ticket>forMonotonousTimestamps()
                                .withTimestampAssigner((value, time) -> value.time),
                        "tickets")
                .uid("tickets")
                .setParallelism(1);
    }

    static List<String> ids(int records) {
        return IntStream.range(0, records).mapToObj(String::valueOf).toList();
    }
}
