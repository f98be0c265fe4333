package io.llamafu.examples.soak;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import javax.annotation.Nullable;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;

/** Sends the records that are due. For one thread. */
final class Feed implements AutoCloseable {
    /** Room for a text of 5 MB before compression. */
    private static final int LARGEST_REQUEST = 16 * 1024 * 1024;

    private final KafkaProducer<byte[], byte[]> producer;
    private final Schedule schedule;
    private final AtomicReference<Exception> failure = new AtomicReference<>();
    private long sent;
    private int sentRoutes;

    Feed(String bootstrapServers, Schedule schedule) {
        this.producer = new KafkaProducer<>(
                Map.of(
                        ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                        bootstrapServers,
                        ProducerConfig.MAX_REQUEST_SIZE_CONFIG,
                        LARGEST_REQUEST,
                        ProducerConfig.COMPRESSION_TYPE_CONFIG,
                        "gzip"),
                new ByteArraySerializer(),
                new ByteArraySerializer());
        this.schedule = schedule;
    }

    /** @throws IOException if the broker has rejected a record */
    void sendUntil(long epochMillis) throws IOException {
        while (sentRoutes < schedule.routes().size()
                && schedule.routes().get(sentRoutes).dueMillis() <= epochMillis) {
            RouteChange change = schedule.routes().get(sentRoutes).change();
            send(SoakTopics.ROUTES, 0, null, AsciiJson.write(change));
            sentRoutes++;
        }
        while (sent < schedule.records() && schedule.record(sent).dueMillis() <= epochMillis) {
            Schedule.Planned planned = schedule.record(sent);
            send(SoakTopics.RECORDS, planned.partition(), planned.healthy().kafkaKey(), planned.kafkaValue());
            sent++;
        }
        if (failure.get() != null) {
            throw new IOException("The broker has refused a record.", failure.get());
        }
    }

    private void send(String topic, int partition, @Nullable byte[] key, @Nullable byte[] value) {
        Future<RecordMetadata> unused =
                producer.send(new ProducerRecord<>(topic, partition, key, value), (metadata, problem) -> {
                    if (problem != null) {
                        failure.compareAndSet(null, problem);
                    }
                });
    }

    long sent() {
        return sent;
    }

    boolean isAtEnd() {
        return sent == schedule.records() && sentRoutes == schedule.routes().size();
    }

    @Override
    public void close() {
        producer.close();
    }
}
