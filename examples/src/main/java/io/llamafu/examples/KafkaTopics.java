package io.llamafu.examples;

import java.util.Map;

/** The topics of the examples with Kafka; the values of the first two are the JSON lines of the files of the routing example. */
final class KafkaTopics {
    static final String TICKETS = "tickets";
    static final String ROUTES = "routes";
    static final String ANSWERS = "answers";
    static final String DEAD_LETTERS = "dead-letters";
    static final String RULES = "rules";

    /** Routes and rules have one partition, because their order matters. */
    static final Map<String, Integer> PARTITIONS = Map.of(TICKETS, 2, ROUTES, 1, ANSWERS, 2, DEAD_LETTERS, 1, RULES, 1);

    private KafkaTopics() {}

    /** The tickets of a tenant stay in order. */
    static int partitionOf(Ticket ticket) {
        return Math.floorMod(ticket.tenant().hashCode(), PARTITIONS.get(TICKETS));
    }
}
