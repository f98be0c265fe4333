package io.llamafu.flink.label;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;

/** Makes the question of a row. */
record RowRequests(LabelSettings settings, Identity identity) {

    /**
     * A question.
     *
     * @param adapters that would answer now, as {@link Answer#adapters}
     * @param key of the question to them
     */
    record Asked(CompletionRequest request, AdapterStack stack, String adapters, String key) {}

    /** @throws LlamafuException with the code of a row that cannot be asked, or ARTIFACT_UNAVAILABLE */
    Asked of(Row row) {
        if (row.malformed() != null) {
            throw row.malformed();
        }
        AdapterStack stack = settings.stacks().choose(row);
        CompletionRequest request = settings.request(settings.prompt().render(row), stack);
        String adapters = identity.describe(stack);
        return new Asked(
                request, stack, adapters, QuestionKeys.of(settings, identity.modelDigest(), request, adapters));
    }
}
