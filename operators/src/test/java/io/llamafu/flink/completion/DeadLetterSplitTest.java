package io.llamafu.flink.completion;

import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

class DeadLetterSplitTest {
    private static final OutputTag<Answered<String>> DEAD_LETTERS = DeadLetterSplit.tag(Types.STRING);

    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void recordsWithoutATextLeaveByTheSideOutputAsTheyCame() throws Exception {
        Answered<String> answered = answered("record 1", "text", null);
        Answered<String> emptyText = answered("record 2", "", null);
        Answered<String> emitted = answered("record 3", null, "PROMPT_TOO_LONG");
        Answered<String> withoutError = answered("record 4", null, null);
        try (OneInputStreamOperatorTestHarness<Answered<String>, Answered<String>> harness =
                new OneInputStreamOperatorTestHarness<>(new ProcessOperator<>(new DeadLetterSplit<>(DEAD_LETTERS)))) {
            harness.setup(Answered.type(Types.STRING).createSerializer(new SerializerConfigImpl()));
            harness.open();
            harness.processElement(answered, 10);
            harness.processElement(emptyText, 20);
            harness.processElement(emitted, 30);
            harness.processElement(withoutError, 40);

            assertThat(harness.getRecordOutput())
                    .containsExactly(new StreamRecord<>(answered, 10), new StreamRecord<>(emptyText, 20));
            assertThat(harness.getSideOutput(DEAD_LETTERS))
                    .containsExactly(new StreamRecord<>(emitted, 30), new StreamRecord<>(withoutError, 40));
        }
    }

    private static Answered<String> answered(String record, String text, String errorCode) {
        return new Answered<>(
                record,
                Completion.newBuilder().setText(text).setErrorCode(errorCode).build());
    }
}
