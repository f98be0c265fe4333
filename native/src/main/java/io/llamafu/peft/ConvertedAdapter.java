package io.llamafu.peft;

import io.llamafu.adapter.AdapterInfo;

import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * What a conversion wrote.
 *
 * @param info what the file says of itself
 * @param tensors how many it has, two for each adapted matrix
 * @param fileBytes its size
 * @param digest lower-case hexadecimal SHA-256 of the file, by which completions name the adapter
 * @param notes sentences about what the configuration says and the conversion did not use: keys that it does not know, and
 *     target modules without tensors
 */
public record ConvertedAdapter(AdapterInfo info, int tensors, long fileBytes, String digest, List<String> notes) {
    public ConvertedAdapter {
        requireNonNull(info, "info is null");
        requireNonNull(digest, "digest is null");
        notes = List.copyOf(notes);
    }
}
