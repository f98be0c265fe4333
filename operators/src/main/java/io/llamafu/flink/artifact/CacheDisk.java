package io.llamafu.flink.artifact;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** Writes the bytes of fetched files to disk. */
interface CacheDisk {
    /** The disk of this machine. */
    CacheDisk LOCAL = (out, bytes) -> {
        while (bytes.hasRemaining()) {
            out.write(bytes);
        }
    };

    /** Writes all bytes. After a failure, the buffer shows which are left. */
    void write(FileChannel out, ByteBuffer bytes) throws IOException;

    /** Whether a write failed for lack of room, by Linux's message. */
    static boolean isFull(IOException failure) {
        String message = String.valueOf(failure.getMessage());
        return message.contains("No space left on device") || message.contains("Disk quota exceeded");
    }
}
