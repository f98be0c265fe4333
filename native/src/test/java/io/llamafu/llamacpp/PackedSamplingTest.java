package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.engine.SamplingOptions;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

class PackedSamplingTest {
    @Test
    void numbersLieWhereTheLayoutSays() {
        ByteBuffer packed = ByteBuffer.wrap(PackedSampling.pack(SamplingOptions.builder()
                        .temperature(0.5f)
                        .mirostat(4, 0.2f)
                        .seed(7)
                        .build()))
                .order(ByteOrder.nativeOrder());

        String[] members = PackedSampling.layout().split(" (?=float|int32_t)");
        assertThat(members).startsWith("float temperature;", "int32_t top_k;").endsWith("int32_t seed;");
        assertThat(packed.capacity()).isEqualTo(members.length * Integer.BYTES);
        assertThat(packed.getFloat(0)).isEqualTo(0.5f);
        assertThat(packed.getInt(5 * Integer.BYTES)).isEqualTo(1);
        assertThat(packed.getInt(packed.capacity() - Integer.BYTES)).isEqualTo(7);
    }

    @Test
    void libraryWithAnotherLayoutIsRefused() {
        NativeLibrary.load();

        assertFails(
                () -> NativeLibrary.requireLayout("float temperature;"),
                ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                "built from other sources",
                PackedSampling.layout(),
                "mvn install");
    }
}
