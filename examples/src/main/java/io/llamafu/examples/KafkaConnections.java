package io.llamafu.examples;

import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.common.TopicPartition;
import picocli.CommandLine.Option;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The part of a job's command line that connects it to Kafka. Creates its environment, sources that read a topic from its
 * beginning, to given end offsets if there are any, and sinks that write exactly once.
 */
public final class KafkaConnections {
    /**
     * At most what the broker allows, and longer than a restart; otherwise the transaction is lost with its answers.
     */
    private static final Duration TRANSACTION_TIMEOUT = Duration.ofMinutes(10);

    private static final Duration CHECKPOINT_TIMEOUT = Duration.ofMinutes(1);

    @Option(names = "--bootstrap-servers", paramLabel = "HOST:PORT", required = true)
    private String bootstrapServers;

    /** Without it, the topic has no end. */
    @Option(names = "--records-end", paramLabel = "PARTITION=OFFSET", split = ",")
    private Map<Integer, Long> recordsEnd = Map.of();

    /** Without it, the topic has no end. */
    @Option(names = "--routes-end", paramLabel = "PARTITION=OFFSET", split = ",")
    private Map<Integer, Long> routesEnd = Map.of();

    @Option(names = "--parallelism", paramLabel = "N", required = true)
    private int parallelism;

    @Option(names = "--checkpoint-interval", paramLabel = "MILLIS", required = true)
    private long checkpointInterval;

    /**
     * The command line of a job, to which the options of its model are added.
     *
     * @param recordsEnd end offset of the records by partition
     * @param routeChanges their number, in one partition
     */
    public static List<String> toArguments(
            String bootstrapServers,
            Map<Integer, Long> recordsEnd,
            long routeChanges,
            int parallelism,
            long checkpointInterval) {
        String written = recordsEnd.entrySet().stream()
                .map(entry -> entry.getKey() + "=" + entry.getValue())
                .collect(Collectors.joining(","));
        List<String> arguments = new ArrayList<>(toArguments(bootstrapServers, parallelism, checkpointInterval));
        arguments.add("--records-end=" + written);
        arguments.add("--routes-end=0=" + routeChanges);
        return arguments;
    }

    /** The command line of a job that does not end. */
    static List<String> toArguments(String bootstrapServers, int parallelism, long checkpointInterval) {
        return List.of(
                "--bootstrap-servers=" + bootstrapServers,
                "--parallelism=" + parallelism,
                "--checkpoint-interval=" + checkpointInterval);
    }

    public StreamExecutionEnvironment environment() {
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(checkpointInterval));
        // Records queue before the model, and an aligned checkpoint would wait for all of them.
        configuration.set(CheckpointingOptions.ENABLE_UNALIGNED, true);
        configuration.set(CheckpointingOptions.CHECKPOINTING_TIMEOUT, CHECKPOINT_TIMEOUT);
        // No record may fall back to Kryo.
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        env.setParallelism(parallelism);
        return env;
    }

    /** All partitions of the topic of records. */
    public <T> KafkaSource<T> records(String topic, KafkaRecordDeserializationSchema<T> deserializer) {
        return source(topic, recordsEnd, deserializer);
    }

    /** All partitions of the topic of route changes. */
    public <T> KafkaSource<T> routes(String topic, KafkaRecordDeserializationSchema<T> deserializer) {
        return source(topic, routesEnd, deserializer);
    }

    private <T> KafkaSource<T> source(
            String topic, Map<Integer, Long> ends, KafkaRecordDeserializationSchema<T> deserializer) {
        Map<TopicPartition, Long> offsets = ends.entrySet().stream()
                .collect(Collectors.toMap(entry -> new TopicPartition(topic, entry.getKey()), Map.Entry::getValue));
        KafkaSourceBuilder<T> source = KafkaSource.<T>builder()
                .setBootstrapServers(bootstrapServers)
                .setTopics(topic)
                .setGroupId("llamafu")
                .setStartingOffsets(OffsetsInitializer.earliest())
                // What another job, or this one, writes in a transaction counts when that is complete.
                .setProperty("isolation.level", "read_committed")
                .setDeserializer(deserializer);
        if (!offsets.isEmpty()) {
            source.setBounded(OffsetsInitializer.offsets(offsets));
        }
        return source.build();
    }

    /** Records become visible to readers with isolation.level=read_committed when their checkpoint is complete. */
    public <T> KafkaSink<T> sink(String topic, SerializationSchema<T> values) {
        return KafkaSink.<T>builder()
                .setBootstrapServers(bootstrapServers)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(topic)
                .setProperty("transaction.timeout.ms", Long.toString(TRANSACTION_TIMEOUT.toMillis()))
                .setRecordSerializer(KafkaRecordSerializationSchema.<T>builder()
                        .setTopic(topic)
                        .setValueSerializationSchema(values)
                        .build())
                .build();
    }
}
