package io.llamafu.adapter;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

import static java.nio.charset.StandardCharsets.UTF_8;

/** SHA-256 as lower-case hexadecimal. */
public final class Sha256 {
    /** Fits the cache of a core. */
    private static final int BUFFER_BYTES = 256 << 10;

    private static final int READS_PER_PAUSE = 4;

    private Sha256() {}

    /** Processes each part of a file while it is read. */
    @FunctionalInterface
    interface Part {
        void take(byte[] part, int length, long position);
    }

    public static MessageDigest start() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java platform has SHA-256", e);
        }
    }

    public static String finish(MessageDigest digest) {
        return HexFormat.of().formatHex(digest.digest());
    }

    /** Of a text in UTF-8. */
    public static String of(String text) {
        MessageDigest digest = start();
        digest.update(text.getBytes(UTF_8));
        return finish(digest);
    }

    /** Of a file. */
    public static String of(Path path) throws IOException {
        return of(path, () -> {});
    }

    /**
     * Of a file.
     *
     * @param pause runs after each MiB
     */
    public static String of(Path path, Runnable pause) throws IOException {
        return of(path, (part, length, position) -> {}, pause);
    }

    /**
     * Of a file.
     *
     * @param alike also receives the content, in parts of a multiple of 4 bytes
     * @param pause runs after each MiB, so that others get the processor
     */
    static String of(Path path, Part alike, Runnable pause) throws IOException {
        MessageDigest digest = start();
        read(
                path,
                (part, length, position) -> {
                    digest.update(part, 0, length);
                    alike.take(part, length, position);
                },
                pause);
        return finish(digest);
    }

    /** Reads a file like {@link #of(Path, Part, Runnable)}, without computing a digest. */
    static void read(Path path, Part action, Runnable pause) throws IOException {
        byte[] buffer = new byte[BUFFER_BYTES];
        try (InputStream in = Files.newInputStream(path)) {
            int reads = 0;
            long position = 0;
            for (int read = fill(in, buffer); read > 0; read = fill(in, buffer)) {
                action.take(buffer, read, position);
                position += read;
                if (++reads % READS_PER_PAUSE == 0) {
                    pause.run();
                }
            }
        }
    }

    private static int fill(InputStream in, byte[] buffer) throws IOException {
        return in.readNBytes(buffer, 0, buffer.length);
    }
}
