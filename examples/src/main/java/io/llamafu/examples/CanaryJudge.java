package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Counts the right answers of both stacks in keyed state, and decides once: when the candidate has given enough answers, it
 * is promoted if it is right at least as often as the current stack, else rolled back. An error counts as a wrong answer.
 */
final class CanaryJudge extends KeyedProcessFunction<String, Answered<Ticket>, CanaryRule> {
    private static final long serialVersionUID = 1L;

    private final String current;
    private final String candidate;
    private final int minimum;
    private transient ValueState<CanaryTally> state;

    /** @param minimum the answers of the candidate after which it is judged */
    CanaryJudge(String current, String candidate, int minimum) {
        this.current = current;
        this.candidate = candidate;
        this.minimum = minimum;
    }

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(new ValueStateDescriptor<>("tally", CanaryTally.class));
    }

    @Override
    public void processElement(Answered<Ticket> answered, Context context, Collector<CanaryRule> out) throws Exception {
        CanaryTally tally = state.value() == null ? CanaryTally.none() : state.value();
        if (tally.decided()) {
            return;
        }
        Completion completion = answered.completion();
        boolean ofCandidate = AdapterStack.parse(completion.getStack()).equals(AdapterStack.parse(candidate));
        tally = tally.plus(ofCandidate, answered.record().expected().equals(completion.getText()));
        if (tally.candidate() >= minimum && tally.current() >= minimum) {
            tally = tally.asDecided();
            out.collect(new CanaryRule(current, candidate, tally.isCandidateAsGood() ? 100 : 0));
        }
        state.update(tally);
    }
}
