package io.llamafu.flink.completion;

import io.llamafu.flink.Answered;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Sends the records without a text to a side output. */
@Internal
public final class DeadLetterSplit<T> extends ProcessFunction<Answered<T>, Answered<T>> {
    private static final long serialVersionUID = 1L;

    private final OutputTag<Answered<T>> deadLetters;

    public DeadLetterSplit(OutputTag<Answered<T>> deadLetters) {
        this.deadLetters = checkNotNull(deadLetters, "deadLetters is null");
    }

    public static <T> OutputTag<Answered<T>> tag(TypeInformation<T> recordType) {
        return new OutputTag<>("llamafu-dead-letters", Answered.type(recordType));
    }

    @Override
    public void processElement(Answered<T> answered, Context context, Collector<Answered<T>> out) {
        if (answered.completion().getText() == null) {
            context.output(deadLetters, answered);
        } else {
            out.collect(answered);
        }
    }
}
