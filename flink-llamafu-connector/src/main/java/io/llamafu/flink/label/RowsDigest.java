package io.llamafu.flink.label;

import io.llamafu.adapter.Sha256;

import java.security.MessageDigest;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The SHA-256 of rows and their schema. */
final class RowsDigest {
    private final MessageDigest digest = Sha256.start();

    void add(byte[] content) {
        digest.update((content.length + ":").getBytes(UTF_8));
        digest.update(content);
    }

    String finish(String schema) {
        digest.update(schema.getBytes(UTF_8));
        return Sha256.finish(digest);
    }
}
