package io.llamafu.adapter;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** The SHA-256 of a file, read in parts. */
public final class AdapterDigest {
    /** Fits the cache of a core. */
    private static final int BUFFER_BYTES = 256 << 10;

    private static final int READS_PER_PART = 4;

    private AdapterDigest() {}

    /** What is done with each part of a file on the way. */
    @FunctionalInterface
    interface Part {
        void take(byte[] part, int length, long position);
    }

    /** As lower-case hexadecimal. */
    public static String of(Path path) throws IOException {
        return of(path, () -> {});
    }

    /**
     * As lower-case hexadecimal.
     *
     * @param betweenParts runs after each MiB
     */
    public static String of(Path path, Runnable betweenParts) throws IOException {
        return of(path, (part, length, position) -> {}, betweenParts);
    }

    /**
     * As lower-case hexadecimal.
     *
     * @param alike gets what is read, in parts of a multiple of 4 bytes
     * @param betweenParts runs after each MiB, as for a pause in which others have the processor
     */
    static String of(Path path, Part alike, Runnable betweenParts) throws IOException {
        MessageDigest sha256 = sha256();
        byte[] buffer = new byte[BUFFER_BYTES];
        try (InputStream in = Files.newInputStream(path)) {
            int reads = 0;
            long position = 0;
            for (int read = read(in, buffer); read > 0; read = read(in, buffer)) {
                sha256.update(buffer, 0, read);
                alike.take(buffer, read, position);
                position += read;
                if (++reads % READS_PER_PART == 0) {
                    betweenParts.run();
                }
            }
        }
        return HexFormat.of().formatHex(sha256.digest());
    }

    private static int read(InputStream in, byte[] buffer) throws IOException {
        return in.readNBytes(buffer, 0, buffer.length);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java platform has SHA-256", e);
        }
    }
}
