package io.llamafu.examples;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

import javax.annotation.Nullable;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

/** Writes all routes at once, and tickets at a steady rate. */
final class KafkaFeed implements AutoCloseable {
    private static final double NANOS_PER_SECOND = 1e9;

    private final KafkaProducer<String, String> producer;
    private final List<Ticket> tickets;
    private final double ticketsPerSecond;
    private int sent;

    KafkaFeed(String bootstrapServers, List<Ticket> tickets, double ticketsPerSecond) {
        this.producer = new KafkaProducer<>(
                Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers),
                new StringSerializer(),
                new StringSerializer());
        this.tickets = List.copyOf(tickets);
        this.ticketsPerSecond = ticketsPerSecond;
    }

    void sendRoutes(List<Route> routes) throws ExecutionException, InterruptedException {
        for (Route route : routes) {
            send(KafkaTopics.ROUTES, route.tenant(), JsonLines.write(route));
        }
    }

    /** @param value null removes the key from a compacted topic */
    void send(String topic, String key, @Nullable String value) throws ExecutionException, InterruptedException {
        producer.send(new ProducerRecord<>(topic, key, value)).get();
    }

    /** Sends the tickets that are due by then, and waits until the broker has them. */
    void sendUntil(long nanos) throws ExecutionException, InterruptedException {
        sendFirst((int) Math.min(tickets.size(), nanos / NANOS_PER_SECOND * ticketsPerSecond));
    }

    /** Sends those of the first tickets that were not sent yet, and waits until the broker has them. */
    void sendFirst(int count) throws ExecutionException, InterruptedException {
        while (sent < count) {
            Ticket ticket = tickets.get(sent);
            producer.send(new ProducerRecord<>(
                            KafkaTopics.TICKETS,
                            KafkaTopics.partitionOf(ticket),
                            ticket.tenant(),
                            JsonLines.write(ticket)))
                    .get();
            sent++;
        }
    }

    /** The number of tickets by partition: the end offsets of the topic. */
    static Map<Integer, Long> ends(List<Ticket> tickets) {
        return tickets.stream().collect(Collectors.groupingBy(KafkaTopics::partitionOf, Collectors.counting()));
    }

    @Override
    public void close() {
        producer.close();
    }
}
