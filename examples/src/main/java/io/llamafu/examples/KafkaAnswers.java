package io.llamafu.examples;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Reads committed answers, as any other service would. */
final class KafkaAnswers implements AutoCloseable {
    private static final JsonLines<Answer> JSON = JsonLines.of(Answer.class);

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final List<TopicPartition> partitions;
    private final List<Answer> committed = new ArrayList<>();

    KafkaAnswers(String bootstrapServers) {
        consumer = new KafkaConsumer<>(
                Map.of(
                        ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                        bootstrapServers,
                        ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                        "read_committed"),
                new ByteArrayDeserializer(),
                new ByteArrayDeserializer());
        partitions = IntStream.range(0, KafkaTopics.PARTITIONS.get(KafkaTopics.ANSWERS))
                .mapToObj(partition -> new TopicPartition(KafkaTopics.ANSWERS, partition))
                .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
    }

    /** Takes what is there, or comes within that time. */
    void poll(Duration wait) throws IOException {
        for (ConsumerRecord<byte[], byte[]> answer : consumer.poll(wait)) {
            committed.add(JSON.read(answer.value()));
        }
    }

    /** Whether all is read that was committed until now. */
    boolean isAtEnd() {
        return consumer.endOffsets(partitions).entrySet().stream()
                .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    List<Answer> committed() {
        return committed;
    }

    @Override
    public void close() {
        consumer.close();
    }
}
