package io.llamafu.gguf;

import io.llamafu.LlamafuException;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * Little-endian reader of a regular file with a small buffer. Every length is checked against the bytes left in the
 * file before anything is read or allocated.
 *
 * <p>It uses a {@link RandomAccessFile}, because an interrupt (Flink cancelling a task) would close a channel and make
 * a good file look damaged.
 */
public final class LittleEndianInput implements AutoCloseable {
    private static final int BUFFER_BYTES = 64 * 1024;

    private final GgufKind kind;
    private final Path path;
    private final RandomAccessFile file;
    private final long size;
    private final ByteBuffer buffer =
            ByteBuffer.allocate(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN).limit(0);
    /** File position of the buffer's limit. */
    private long bufferEnd;

    private LittleEndianInput(GgufKind kind, Path path, RandomAccessFile file, long size) {
        this.kind = kind;
        this.path = path;
        this.file = file;
        this.size = size;
    }

    /**
     * Opens a regular file. The check comes before opening, because opening a FIFO waits for its writer.
     *
     * @param kind what the file belongs to; it determines the error codes
     */
    public static LittleEndianInput open(GgufKind kind, Path path) {
        try {
            if (!Files.readAttributes(path, BasicFileAttributes.class).isRegularFile()) {
                throw kind.notFound(path, "is no regular file; check the path.", null);
            }
            RandomAccessFile file = new RandomAccessFile(path.toFile(), "r");
            try {
                return new LittleEndianInput(kind, path, file, file.length());
            } catch (IOException e) {
                file.close();
                throw e;
            }
        } catch (NoSuchFileException e) {
            throw kind.notFound(path, "does not exist; check the path on this machine.", e);
        } catch (IOException | UnsupportedOperationException e) {
            throw kind.notFound(path, "cannot be opened: %s.".formatted(e.getMessage()), e);
        }
    }

    public long size() {
        return size;
    }

    public long position() {
        return bufferEnd - buffer.remaining();
    }

    public long remaining() {
        return size - position();
    }

    public void seek(long position) {
        if (position < 0 || position > size) {
            throw invalid("is cut off: byte %d is asked for, but it has %d. Fetch it again.".formatted(position, size));
        }
        buffer.limit(0);
        bufferEnd = position;
    }

    void skip(long bytes, String what) {
        require(bytes, what);
        if (bytes <= buffer.remaining()) {
            buffer.position(buffer.position() + (int) bytes);
        } else {
            seek(position() + bytes);
        }
    }

    /** Checks a length from the file, which is unsigned, against the bytes left. */
    void require(long bytes, String what) {
        if (bytes < 0 || bytes > remaining()) {
            throw invalid("is cut off or damaged: at byte %d, '%s' takes %s bytes, but %d are left. Fetch it again."
                    .formatted(position(), what, Long.toUnsignedString(bytes), remaining()));
        }
    }

    int int8(String what) {
        return buffered(1, what).get();
    }

    int int16(String what) {
        return buffered(2, what).getShort();
    }

    int int32(String what) {
        return buffered(4, what).getInt();
    }

    long uint32(String what) {
        return Integer.toUnsignedLong(int32(what));
    }

    public long int64(String what) {
        return buffered(8, what).getLong();
    }

    float float32(String what) {
        return buffered(4, what).getFloat();
    }

    double float64(String what) {
        return buffered(8, what).getDouble();
    }

    /** Reads a number of bytes that the caller has limited. */
    public void bytes(byte[] target, int count, String what) {
        require(count, what);
        int done = 0;
        while (done < count) {
            int part = Math.min(count - done, BUFFER_BYTES);
            buffered(part, what).get(target, done, part);
            done += part;
        }
    }

    private ByteBuffer buffered(int bytes, String what) {
        if (buffer.remaining() < bytes) {
            require(bytes, what);
            fill();
        }
        return buffer;
    }

    private void fill() {
        long start = position();
        int wanted = (int) Math.min(BUFFER_BYTES, size - start);
        try {
            file.seek(start);
            file.readFully(buffer.array(), 0, wanted);
        } catch (EOFException e) {
            throw kind.invalid(path, "became shorter while it was read; publish files by renaming them.", e);
        } catch (IOException e) {
            throw kind.invalid(path, "cannot be read at byte %d: %s.".formatted(start, e.getMessage()), e);
        }
        buffer.clear().limit(wanted);
        bufferEnd = start + wanted;
    }

    public LlamafuException invalid(String problem) {
        return kind.invalid(path, problem);
    }

    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            // The file was only read, so a failed close loses nothing.
        }
    }
}
