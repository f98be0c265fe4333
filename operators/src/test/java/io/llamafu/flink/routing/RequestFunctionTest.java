package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.PromptTemplate;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.function.SerializableFunction;
import org.junit.jupiter.api.Test;

import javax.annotation.Nullable;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class RequestFunctionTest {
    private static final KeySelector<String, String> KEY = text -> text.substring(0, 1);

    /** Only a key and a prompt. */
    private static RecordFields<String> fields(
            KeySelector<String, String> key, SerializableFunction<String, String> prompt) {
        return new RecordFields<>(key, prompt, null, null, null, null, null, null);
    }

    @Test
    void recordSaysWhatItsFunctionsSay() throws Exception {
        SamplingOptions sampling =
                SamplingOptions.builder().temperature(1).seed(3).build();
        RecordFields<String> fields = new RecordFields<>(
                KEY,
                text -> text,
                text -> "id of " + text,
                text -> " medical + formal",
                text -> Map.of("formal", 0.5f),
                text -> sampling,
                text -> 9,
                text -> List.of("x", "y", "x"));

        RoutedRequest request = request(fields, "abc");

        assertThat(request.getId()).isEqualTo("id of abc");
        assertThat(request.getKey()).isEqualTo("a");
        assertThat(request.getPrompt()).isEqualTo("<abc>");
        assertThat(PromptParts.read(request, new PromptTemplate("{text}")))
                .isEqualTo(
                        Prompt.withControlTokens("<").plus(Prompt.text("abc")).plus(Prompt.withControlTokens(">")));
        assertThat(request.getStack()).isEqualTo("medical+formal");
        assertThat(request.getPinned()).isTrue();
        assertThat(request.getScales()).isEqualTo(Map.of("formal", 0.5f));
        assertThat(Samplings.toOptions(request.getSampling())).isEqualTo(sampling);
        assertThat(request.getMaxTokens()).isEqualTo(9);
        assertThat(request.getLabels()).containsExactly("x", "y");
        assertThat(request.getEventTime()).isEqualTo(42);
        assertThat(request.getErrorCode()).isNull();
    }

    @Test
    void whatIsNullIsLeftToTheJob() throws Exception {
        RecordFields<String> fields = new RecordFields<>(
                KEY, text -> text, text -> null, text -> null, text -> null, text -> null, text -> null, text -> null);

        RoutedRequest request = request(fields, "abc");

        assertThat(request)
                .isEqualTo(request(fields(KEY, text -> text), "abc"))
                .extracting(RoutedRequest::getStack, RoutedRequest::getPinned)
                .containsExactly("default", false);
    }

    @Test
    void emptyStackOfARecordIsTheBaseModel() throws Exception {
        RoutedRequest request = request(stackOf(text -> ""), "abc");

        assertThat(request.getStack()).isEmpty();
        assertThat(request.getPinned()).isTrue();
    }

    @Test
    void codedErrorOfAFunctionIsTheRecords() throws Exception {
        assertThat(request(stackOf(text -> "a:b:c"), "abc").getErrorCode()).isEqualTo("INVALID_REQUEST");
        RoutedRequest request = request(
                stackOf(text -> {
                    throw new LlamafuException(ErrorCode.ADAPTER_NOT_FOUND, "there is none for " + text);
                }),
                "abc");

        assertThat(request.getErrorCode()).isEqualTo("ADAPTER_NOT_FOUND");
        assertThat(request.getError()).isEqualTo("there is none for abc");
    }

    @Test
    void samplingOutOfItsRangeIsAnErrorOfTheRecord() throws Exception {
        RecordFields<String> fields = new RecordFields<>(
                KEY,
                text -> text,
                null,
                null,
                null,
                text -> SamplingOptions.builder().temperature(-1).build(),
                null,
                null);

        assertThat(request(fields, "abc").getErrorCode()).isEqualTo("INVALID_OPTION");
    }

    @Test
    void labelsThatCannotBeAnsweredAreAnErrorOfTheRecord() throws Exception {
        assertThat(request(labelled(null, List.of()), "abc").getError()).contains("There are no labels");
        assertThat(request(labelled(null, Arrays.asList("a", null)), "abc").getError())
                .contains("Label 2 of 2 is null");
        assertThat(request(labelled(null, List.of("\uD83Dx")), "abc").getErrorCode())
                .isEqualTo("INVALID_TEXT");
        assertThat(request(labelled(null, List.of("a|b")), "abc").getError()).contains("The only label is 'a|b'");
        assertThat(request(labelled("root ::= \"a\"", List.of("a")), "abc").getError())
                .contains("both labels and a grammar");
    }

    private static RecordFields<String> labelled(@Nullable String grammar, List<String> labels) {
        return new RecordFields<>(
                KEY,
                text -> text,
                null,
                null,
                null,
                grammar == null
                        ? null
                        : text -> SamplingOptions.builder().grammar(grammar).build(),
                null,
                text -> labels);
    }

    @Test
    void scaleThatIsNullIsAnErrorOfTheRecord() throws Exception {
        Map<String, Float> scales = new HashMap<>();
        scales.put("medical", null);
        RecordFields<String> fields =
                new RecordFields<>(KEY, text -> text, null, null, text -> scales, null, null, null);

        assertThat(request(fields, "abc").getError()).contains("'medical' to null");
    }

    @Test
    void otherExceptionsAreTheUsers() {
        assertThatThrownBy(() -> request(
                        stackOf(text -> {
                            throw new IllegalStateException("a bug");
                        }),
                        "abc"))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void nullKeyAndNullPromptAreErrors() throws Exception {
        assertThat(request(fields(text -> null, text -> text), "abc").getError())
                .contains("null key");
        assertThat(request(fields(KEY, text -> null), "abc").getError()).contains("null prompt");
        assertThat(request(fields(null, text -> text), "abc").getErrorCode())
                .as("a job without keys")
                .isNull();
    }

    /** Whichever function throws it; the outcome still has the id. */
    @Test
    void codedErrorsOfKeyPromptAndIdAreTheRecords() throws Exception {
        LlamafuException error = new LlamafuException(ErrorCode.INVALID_REQUEST, "the record is damaged");
        RoutedRequest badKey = request(
                idOf(
                        text -> {
                            throw error;
                        },
                        text -> text,
                        text -> "id"),
                "abc");
        RoutedRequest badPrompt = request(
                idOf(
                        KEY,
                        text -> {
                            throw error;
                        },
                        text -> "id"),
                "abc");
        RoutedRequest badId = request(
                idOf(KEY, text -> text, text -> {
                    throw error;
                }),
                "abc");

        assertThat(List.of(badKey, badPrompt, badId)).allSatisfy(request -> {
            assertThat(request.getErrorCode()).isEqualTo("INVALID_REQUEST");
            assertThat(request.getError()).isEqualTo("the record is damaged");
        });
        assertThat(badKey.getId()).isEqualTo("id");
        assertThat(badPrompt.getId()).isEqualTo("id");
        assertThat(badPrompt.getKey()).isEqualTo("a");
        assertThat(badId.getKey()).isEqualTo("a");
    }

    /** It would arrive in another subtask, as another key, or as another id or prompt. */
    @Test
    void textsThatCannotBeWrittenAreErrorsBeforeTheyAreSent() throws Exception {
        String bad = "\uD83Dx";
        RoutedRequest badKey = request(idOf(text -> bad, text -> text, text -> "id"), "abc");
        RoutedRequest badId = request(idOf(KEY, text -> text, text -> "a\uDE00"), "abc");
        RoutedRequest badPrompt = request(idOf(KEY, text -> "\uDE00\uD83D", text -> "id"), "abc");
        RoutedRequest badGrammar = request(
                new RecordFields<>(
                        KEY,
                        text -> text,
                        null,
                        null,
                        null,
                        text -> SamplingOptions.builder()
                                .grammar("root ::= \"" + bad + "\"")
                                .build(),
                        null,
                        null),
                "abc");

        assertThat(List.of(badKey, badId, badPrompt, badGrammar))
                .extracting(RoutedRequest::getErrorCode)
                .containsOnly("INVALID_TEXT");
        assertThat(badKey.getKey()).isNull();
        assertThat(badKey.getError()).contains("key of the record", "\\uD83Dx", "index 0");
        assertThat(badId.getId()).as("not another one in silence").isNull();
        assertThat(badId.getError()).contains("id of the record", "index 1");
        assertThat(badPrompt.getPrompt()).isNull();
        assertThat(request(idOf(KEY, text -> text, text -> "\uD83D\uDE00"), "abc")
                        .getErrorCode())
                .as("an emoji")
                .isNull();
    }

    @Test
    void smallestTimestampIsNone() throws Exception {
        RoutedRequest request =
                process(fields(KEY, text -> text), new RequestOnly<>(), new StreamRecord<>("abc", Long.MIN_VALUE));

        assertThat(request.getEventTime()).isNull();
    }

    @Test
    void recordTravelsBesideItsRequest() throws Exception {
        Tuple2<RoutedRequest, String> carried =
                process(fields(KEY, text -> text), new WithRecord<>(Types.STRING), new StreamRecord<>("abc", 42));

        assertThat(carried.f0.getPrompt()).isEqualTo("<abc>");
        assertThat(carried.f1).isEqualTo("abc");
    }

    private static RecordFields<String> idOf(
            KeySelector<String, String> key,
            SerializableFunction<String, String> prompt,
            SerializableFunction<String, String> id) {
        return new RecordFields<>(key, prompt, id, null, null, null, null, null);
    }

    private static RecordFields<String> stackOf(SerializableFunction<String, String> stack) {
        return new RecordFields<>(KEY, text -> text, null, stack, null, null, null, null);
    }

    private static RoutedRequest request(RecordFields<String> fields, String value) throws Exception {
        return process(fields, new RequestOnly<>(), new StreamRecord<>(value, 42));
    }

    @SuppressWarnings("try") // close of the harness may be interrupted
    private static <E> E process(RecordFields<String> fields, Carrier<String, E, ?> carrier, StreamRecord<String> value)
            throws Exception {
        RequestFunction<String, E> function =
                new RequestFunction<>(fields, new PromptTemplate("<{text}>"), AdapterStack.parse("default"), carrier);
        try (OneInputStreamOperatorTestHarness<String, E> harness =
                new OneInputStreamOperatorTestHarness<>(new ProcessOperator<>(function))) {
            harness.open();
            harness.processElement(value);
            return harness.extractOutputValues().get(0);
        }
    }
}
