package io.llamafu.examples;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

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
            producer.send(new ProducerRecord<>(KafkaTopics.ROUTES, route.tenant(), JsonLines.write(route)))
                    .get();
        }
    }

    /** Sends the tickets that are due by then, and waits until the broker has them. */
    void sendUntil(long nanos) throws ExecutionException, InterruptedException {
        long due = Math.min(tickets.size(), (long) (nanos / NANOS_PER_SECOND * ticketsPerSecond));
        while (sent < due) {
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
