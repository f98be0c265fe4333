package io.llamafu.llamacpp;

import io.llamafu.engine.SamplingOptions;

import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * The numbers of {@link SamplingOptions} as the C++ struct {@code SamplingNumbers}: in the order of the record's components,
 * 4 bytes each, in native byte order. The record and the struct each describe their layout, and {@link NativeLibrary}
 * compares the two when it is loaded.
 */
final class PackedSampling {
    private static final List<RecordComponent> NUMBERS = Arrays.stream(SamplingOptions.class.getRecordComponents())
            .filter(component -> component.getType().isPrimitive())
            .toList();

    private PackedSampling() {}

    /** The members of the struct in C++, each with a semicolon. */
    static String layout() {
        return NUMBERS.stream()
                .map(number -> (number.getType() == float.class ? "float " : "int32_t ")
                        + number.getName().replaceAll("[A-Z]", "_$0").toLowerCase(Locale.ROOT) + ";")
                .collect(Collectors.joining(" "));
    }

    static byte[] pack(SamplingOptions options) {
        ByteBuffer packed = ByteBuffer.allocate(NUMBERS.size() * Integer.BYTES).order(ByteOrder.nativeOrder());
        NUMBERS.forEach(number -> put(packed, valueOf(number, options)));
        return packed.array();
    }

    private static void put(ByteBuffer packed, Object value) {
        if (value instanceof Float number) {
            packed.putFloat(number);
        } else if (value instanceof Boolean flag) {
            packed.putInt(flag ? 1 : 0);
        } else {
            packed.putInt((Integer) value);
        }
    }

    private static Object valueOf(RecordComponent number, SamplingOptions options) {
        try {
            return number.getAccessor().invoke(options);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(
                    "%s of the sampling options cannot be read.".formatted(number.getName()), e);
        }
    }
}
