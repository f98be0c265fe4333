package io.llamafu.examples.soak;

import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;
import io.llamafu.flink.ResolvedAdapter;

import javax.annotation.Nullable;
import java.util.List;

/** The outcome of a record, as a JSON object in one of the outcome topics. */
record Outcome(
        long number,
        @Nullable String id,
        String stack,
        List<Adapter> adapters,
        @Nullable String answer,
        @Nullable Long eventTime,
        @Nullable String errorCode,
        @Nullable String error) {
    private static final int SHOWN_CHARACTERS = 300;

    /** One adapter that answered; the digest is the SHA-256 of its file. */
    record Adapter(String name, float scale, String digest) {
        private static Adapter of(ResolvedAdapter adapter) {
            return new Adapter(adapter.getName(), adapter.getScale(), adapter.getDigest());
        }
    }

    static Outcome of(Answered<SoakRecord> answered) {
        Completion completion = answered.completion();
        return new Outcome(
                answered.record().number(),
                completion.getId(),
                shortened(completion.getStack()),
                completion.getAdapters().stream().map(Adapter::of).toList(),
                completion.getText(),
                completion.getEventTime(),
                completion.getErrorCode(),
                shortened(completion.getError()));
    }

    /** Stacks can be very long, and errors may quote them. */
    @Nullable
    static String shortened(@Nullable String text) {
        return text == null || text.length() <= SHOWN_CHARACTERS ? text : text.substring(0, SHOWN_CHARACTERS) + "...";
    }

    boolean isError() {
        return answer == null;
    }
}
