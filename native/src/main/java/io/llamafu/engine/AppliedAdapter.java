package io.llamafu.engine;

import static java.util.Objects.requireNonNull;

/**
 * One adapter of the stack that answered.
 *
 * @param name the catalog name
 * @param scale applied to the adapter's own alpha / rank
 * @param digest lower-case hexadecimal SHA-256 of the adapter file: its identity
 */
public record AppliedAdapter(String name, float scale, String digest) {
    public AppliedAdapter {
        requireNonNull(name, "name is null");
        requireNonNull(digest, "digest is null");
    }
}
