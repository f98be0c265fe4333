package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterStackTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "medical",
                "medical:1.0",
                "medical:0.8",
                "medical:1.0+formal:0.7",
                "a+b:-0.5+c:0.0",
                "a:100.0+b:-100.0"
            })
    void theWrittenFormIsReadBackToAnEqualStack(String text) throws Exception {
        AdapterStack stack = AdapterStack.parse(text);

        assertThat(stack).hasToString(text).isEqualTo(AdapterStack.parse(stack.toString()));
        assertThat(serialized(stack)).isEqualTo(stack);
    }

    private static Object serialized(AdapterStack stack) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(stack);
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            return in.readObject();
        }
    }

    @Test
    void withoutAScaleItIsTheAdaptersOwn() {
        assertThat(AdapterStack.parse("medical"))
                .isEqualTo(AdapterStack.of("medical"))
                .isNotEqualTo(AdapterStack.of("medical", 1));
        assertThat(AdapterStack.parse(" medical + formal : 0.5 ").entries())
                .containsExactly(
                        new AdapterStack.Entry("medical", Optional.empty()), new AdapterStack.Entry("formal", 0.5f));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "medical:",
                "medical:x",
                "medical:NaN",
                "medical:Infinity",
                "medical:100.1",
                "medical:-100.1",
                "medical:1e38",
                "+",
                "a+",
                "../a",
                "a+a",
                "a:1:2"
            })
    void malformedStacksAreRefused(String text) {
        assertThatThrownBy(() -> AdapterStack.parse(text))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_REQUEST));
    }

    @Test
    void emptyIsTheBaseModel() {
        assertThat(AdapterStack.parse("  ")).isEqualTo(AdapterStack.base());
        assertThat(AdapterStack.base().isBase()).isTrue();
        assertThat(new AdapterStack(List.of())).isEqualTo(AdapterStack.base());
    }

    @Test
    void otherScalesLeaveTheRestAsItIs() {
        AdapterStack stack = AdapterStack.parse("medical:0.8+formal:0.5");

        assertThat(stack.withScales(Map.of("formal", 1f))).isEqualTo(AdapterStack.parse("medical:0.8+formal:1.0"));
        assertThat(stack.withScales(Map.of())).isEqualTo(stack);
    }

    @Test
    void scaleOfAnotherAdapterIsRefused() {
        AdapterStack stack = AdapterStack.parse("medical");

        assertThatThrownBy(() -> stack.withScales(Map.of("medical", 1f, "legal", 0.5f, "finance", 1f)))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_REQUEST))
                .hasMessageContainingAll("'finance', 'legal'", "'medical'");
        assertThatThrownBy(() -> stack.withScales(Map.of("medical", Float.NaN))).hasMessageContaining("NaN");
        assertThatThrownBy(() -> stack.withScales(Map.of("medical", 1e4f)))
                .hasMessageContaining("from -100.0 to 100.0");
    }
}
