package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonUnwrapped;

import java.util.SortedMap;

/**
 * The result of the Kafka example.
 *
 * @param answers the committed answers compared with the expected ones
 * @param restarts of the job
 * @param modelLoads models loaded by each TaskManager, from its metric
 */
record KafkaReport(@JsonUnwrapped RoutingReport answers, int restarts, SortedMap<String, Long> modelLoads)
        implements ExampleReport {

    /** Whether each ticket was answered once, under the stack of its route, and no TaskManager loaded a second model. */
    @Override
    public boolean isSound() {
        return answers.isSound()
                && !modelLoads.isEmpty()
                && modelLoads.values().stream().allMatch(loads -> loads == 1);
    }
}
