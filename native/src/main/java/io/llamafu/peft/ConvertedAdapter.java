package io.llamafu.peft;

import io.llamafu.adapter.AdapterInfo;

import static java.util.Objects.requireNonNull;

/**
 * What a conversion wrote.
 *
 * @param info what the file says of itself
 * @param tensors how many it has, two for each adapted matrix
 * @param fileBytes its size
 * @param digest lower-case hexadecimal SHA-256 of the file, by which completions name the adapter
 */
public record ConvertedAdapter(AdapterInfo info, int tensors, long fileBytes, String digest) {
    public ConvertedAdapter {
        requireNonNull(info, "info is null");
        requireNonNull(digest, "digest is null");
    }
}
