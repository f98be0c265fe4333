package io.llamafu.examples;

import io.llamafu.examples.cluster.CommittedRecords;
import org.apache.kafka.clients.consumer.ConsumerRecord;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The committed values of a topic.
 *
 * @param <T> a Java record with the fields of their JSON
 */
final class KafkaValues<T> implements AutoCloseable {
    private final JsonLines<T> json;
    private final CommittedRecords records;
    private final List<T> committed = new ArrayList<>();

    KafkaValues(String bootstrapServers, String topic, Class<T> type) {
        json = JsonLines.of(type);
        records = new CommittedRecords(bootstrapServers, Map.of(topic, KafkaTopics.PARTITIONS.get(topic)));
    }

    /** Takes the values that are available or arrive within that time. */
    void poll(Duration wait) throws IOException {
        for (ConsumerRecord<byte[], byte[]> record : records.poll(wait)) {
            committed.add(json.read(record.value()));
        }
    }

    /** Whether everything committed so far has been read. */
    boolean isAtEnd() {
        return records.isAtEnd();
    }

    List<T> committed() {
        return committed;
    }

    @Override
    public void close() {
        records.close();
    }
}
