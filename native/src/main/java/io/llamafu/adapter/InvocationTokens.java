package io.llamafu.adapter;

import io.llamafu.gguf.GgufArrays;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufValue;
import io.llamafu.gguf.GgufValueType;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The tokens that activate an aLoRA adapter, as llama.cpp's converter writes them. */
final class InvocationTokens {
    static final String KEY = "adapter.alora.invocation_tokens";

    /** Far more than any invocation has. */
    static final int MOST = 1024;

    private InvocationTokens() {}

    static String expected(long vocabulary) {
        return "an array of 1 to %d UINT32 tokens below %d".formatted(MOST, vocabulary);
    }

    /** What is wrong with the value of a file, if it has one. */
    static Optional<String> problem(GgufFile adapter, long vocabulary) {
        GgufValue value = adapter.metadata().get(KEY);
        if (value == null) {
            return Optional.empty();
        }
        if (!(value instanceof GgufValue.Array array)) {
            return Optional.of("of type " + value.type());
        }
        if (!isReadable(adapter)) {
            return Optional.of("an array of %d %s elements".formatted(array.count(), array.elementType()));
        }
        // a negative number is one above 2^31
        return of(adapter).stream()
                .filter(token -> token < 0 || token >= vocabulary)
                .findFirst()
                .map(token -> "one with " + Integer.toUnsignedLong(token));
    }

    private static boolean isReadable(GgufFile adapter) {
        return adapter.metadata().get(KEY) instanceof GgufValue.Array array
                && array.elementType() == GgufValueType.UINT32
                && array.count() >= 1
                && array.count() <= MOST;
    }

    /** Empty for an ordinary adapter, and for an array that is not as expected. */
    static List<Integer> of(GgufFile adapter) {
        List<Integer> tokens = new ArrayList<>();
        if (isReadable(adapter)) {
            GgufArrays.forEachInteger(adapter, KEY, (index, token) -> tokens.add((int) token));
        }
        return tokens;
    }
}
