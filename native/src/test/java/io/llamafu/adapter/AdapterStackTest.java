package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterStackTest {

    @Test
    void otherScalesLeaveTheRestAsItIs() {
        AdapterStack stack = AdapterStack.parse("medical:0.8+formal:0.5");

        assertThat(stack.withScales(Map.of("formal", 1f))).isEqualTo(AdapterStack.parse("medical:0.8+formal"));
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
    }
}
