package io.llamafu.examples.soak;

import java.util.Map;

/** The topics of the soak test. A record's Kafka key is its number; values are JSON, or hostile bytes. */
final class SoakTopics {
    static final String RECORDS = "records";
    static final String ROUTES = "routes";
    static final String ANSWERS = "answers";
    static final String DEAD_LETTERS = "dead-letters";
    static final String REJECTED_ROUTES = "rejected-routes";

    static final Map<String, Integer> INPUTS = Map.of(RECORDS, 2, ROUTES, 1);
    static final Map<String, Integer> OUTPUTS = Map.of(ANSWERS, 2, DEAD_LETTERS, 2, REJECTED_ROUTES, 2);

    private SoakTopics() {}
}
