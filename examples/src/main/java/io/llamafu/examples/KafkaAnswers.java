package io.llamafu.examples;

import io.llamafu.examples.cluster.CommittedRecords;
import org.apache.kafka.clients.consumer.ConsumerRecord;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The committed answers. */
final class KafkaAnswers implements AutoCloseable {
    private static final JsonLines<Answer> JSON = JsonLines.of(Answer.class);

    private final CommittedRecords records;
    private final List<Answer> committed = new ArrayList<>();

    KafkaAnswers(String bootstrapServers) {
        records = new CommittedRecords(
                bootstrapServers, Map.of(KafkaTopics.ANSWERS, KafkaTopics.PARTITIONS.get(KafkaTopics.ANSWERS)));
    }

    /** Takes the answers that are available or arrive within that time. */
    void poll(Duration wait) throws IOException {
        for (ConsumerRecord<byte[], byte[]> answer : records.poll(wait)) {
            committed.add(JSON.read(answer.value()));
        }
    }

    /** Whether everything committed so far has been read. */
    boolean isAtEnd() {
        return records.isAtEnd();
    }

    List<Answer> committed() {
        return committed;
    }

    @Override
    public void close() {
        records.close();
    }
}
