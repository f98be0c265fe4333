package io.llamafu.flink.table;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.LlamafuOptions;

import java.time.Duration;

/**
 * The settings of one call.
 *
 * @param options validated
 * @param sampling of the options, built once
 * @param template for the values of the call
 * @param templateDigest SHA-256 of its written form
 * @param timeout of the request
 */
record CallSettings(
        LlamafuOptions options,
        SamplingOptions sampling,
        ColumnTemplate template,
        String templateDigest,
        Duration timeout) {

    CompletionRequest request(Prompt prompt, AdapterStack stack) {
        return options.toRequest(prompt, stack, sampling).withTimeout(timeout);
    }
}
