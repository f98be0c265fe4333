package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.Completion;
import io.llamafu.flink.ResolvedAdapter;

import javax.annotation.Nullable;
import java.util.List;

/**
 * A line of the output: a ticket's answer or error.
 *
 * @param stack the stack of the route
 * @param adapters the adapters that answered
 * @param answer null if there was an error
 * @param queueMillis from submission to a sequence slot
 * @param firstTokenMillis from submission to the first token
 * @param totalMillis from submission to the last token
 * @param errorCode null if there is an answer
 * @param error null if there is an answer
 */
record Answer(
        String id,
        String tenant,
        String stack,
        List<Adapter> adapters,
        @Nullable String answer,
        int promptTokens,
        int generatedTokens,
        double queueMillis,
        double firstTokenMillis,
        double totalMillis,
        @Nullable String errorCode,
        @Nullable String error) {

    /** One adapter that answered; the digest is the SHA-256 of its file. */
    record Adapter(String name, float scale, String digest) {
        private static Adapter of(ResolvedAdapter adapter) {
            return new Adapter(adapter.getName(), adapter.getScale(), adapter.getDigest());
        }
    }

    static Answer of(Completion completion) {
        return new Answer(
                completion.getId(),
                completion.getKey(),
                completion.getStack(),
                completion.getAdapters().stream().map(Adapter::of).toList(),
                completion.getText(),
                completion.getPromptTokens(),
                completion.getGeneratedTokens(),
                completion.getQueueMillis(),
                completion.getFirstTokenMillis(),
                completion.getTotalMillis(),
                completion.getErrorCode(),
                completion.getError());
    }

    boolean isError() {
        return answer == null;
    }

    /** Whether this stack was asked for, and answered. */
    boolean answeredUnder(AdapterStack expected) {
        return answeredBy(expected) && withScales(AdapterStack.parse(stack)).equals(withScales(expected));
    }

    /** Whether the adapters of this stack answered, at its scales. */
    boolean answeredBy(AdapterStack expected) {
        List<AdapterStack.Entry> used = adapters.stream()
                .map(adapter -> new AdapterStack.Entry(adapter.name(), adapter.scale()))
                .toList();
        return !isError() && used.equals(withScales(expected));
    }

    /** No adapter of the examples has a card, so the default scale is 1. */
    private static List<AdapterStack.Entry> withScales(AdapterStack stack) {
        return stack.entries().stream()
                .map(entry -> new AdapterStack.Entry(entry.name(), entry.scale().orElse(1f)))
                .toList();
    }
}
