package io.llamafu.examples;

import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.kafka.common.TopicPartition;

import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;

/** Sources that read a topic from its beginning to given end offsets, and sinks that write exactly once. */
public final class KafkaConnections {
    /**
     * At most what the broker allows, and longer than a restart; otherwise the transaction is lost with its answers.
     */
    private static final Duration TRANSACTION_TIMEOUT = Duration.ofMinutes(10);

    private final String bootstrapServers;

    public KafkaConnections(String bootstrapServers) {
        this.bootstrapServers = bootstrapServers;
    }

    /**
     * Reads all partitions of a topic.
     *
     * @param ends end offset by partition
     */
    public <T> KafkaSource<T> source(
            String topic, Map<Integer, Long> ends, KafkaRecordDeserializationSchema<T> deserializer) {
        Map<TopicPartition, Long> offsets = ends.entrySet().stream()
                .collect(Collectors.toMap(entry -> new TopicPartition(topic, entry.getKey()), Map.Entry::getValue));
        return KafkaSource.<T>builder()
                .setBootstrapServers(bootstrapServers)
                .setTopics(topic)
                .setGroupId("llamafu")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.offsets(offsets))
                .setDeserializer(deserializer)
                .build();
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

    /** The form in which an example passes the end offsets to a job: {@code PARTITION=OFFSET,...}. */
    public static String written(Map<Integer, Long> ends) {
        return ends.entrySet().stream()
                .map(entry -> entry.getKey() + "=" + entry.getValue())
                .collect(Collectors.joining(","));
    }
}
