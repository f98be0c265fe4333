package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonUnwrapped;

import java.util.SortedMap;

/**
 * What the Kafka example shows.
 *
 * @param answers how the committed answers compare with what the tickets expect
 * @param restarts of the job
 * @param modelLoads how many models each TaskManager has loaded, as its metric says
 */
record KafkaReport(@JsonUnwrapped RoutingReport answers, int restarts, SortedMap<String, Long> modelLoads) {

    /** Whether each ticket was answered once, under the stack of its route, and no TaskManager loaded a second model. */
    @JsonIgnore
    boolean isSound() {
        return answers.isSound()
                && !modelLoads.isEmpty()
                && modelLoads.values().stream().allMatch(loads -> loads == 1);
    }
}
