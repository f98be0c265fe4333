package io.llamafu.peft;

import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterOutput;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * The result of a conversion.
 *
 * @param info the adapter as its file describes it
 * @param tensors number of tensors, two for each adapted matrix
 * @param fileBytes size of the file
 * @param digest lower-case hexadecimal SHA-256 of the file, by which completions name the adapter
 * @param notes sentences about parts of the configuration that were not used: unknown keys, and target modules without
 *     tensors
 */
public record ConvertedAdapter(AdapterInfo info, int tensors, long fileBytes, String digest, List<String> notes) {
    public ConvertedAdapter {
        requireNonNull(info, "info is null");
        requireNonNull(digest, "digest is null");
        notes = List.copyOf(notes);
    }

    static ConvertedAdapter of(AdapterOutput.Published published, List<String> notes) {
        return new ConvertedAdapter(
                published.info(), published.tensors(), published.fileBytes(), published.digest(), notes);
    }
}
