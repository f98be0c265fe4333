package io.llamafu.flink.artifact;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import org.apache.flink.core.fs.FSDataInputStream;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Optional;

/**
 * A remote file that is being fetched. If the fetch is interrupted, its bytes stay, and the next fetch resumes if the
 * remote file is still the same version. Used while holding the lock of its URI.
 *
 * <p>A note records how many bytes were forced to disk, because after a crash of the machine later ones may be zeros.
 * The digest is computed over all bytes as written or read back, so it describes what the file now contains.
 */
final class PartialFile {
    private static final String NOTE_SUFFIX = ".properties";
    private static final int BUFFER_BYTES = 1 << 20;

    private final Path data;
    private final CacheIndex notes;
    private final RemoteFile file;
    private final boolean resumable;

    /**
     * A partial file.
     *
     * @param data its bytes; two processes that both fetch must use different files
     * @param notes beside it
     * @param resumable whether its fetch can be resumed
     */
    PartialFile(Path data, CacheIndex notes, RemoteFile file, boolean resumable) {
        this.data = data;
        this.notes = notes;
        this.file = file;
        this.resumable = resumable;
    }

    /** The name of the partial file that a file of its folder belongs to. */
    static String nameOf(Path file) {
        String name = file.getFileName().toString();
        return name.endsWith(NOTE_SUFFIX) ? name.substring(0, name.length() - NOTE_SUFFIX.length()) : name;
    }

    /**
     * A number that changes as the file grows or is read again, which shows waiting processes that the fetch is alive.
     */
    static long progressOf(Path data) {
        try {
            return Files.size(data) * 31 + Files.getLastModifiedTime(data).toMillis();
        } catch (IOException e) {
            return 0;
        }
    }

    /** The steps of a fetch. */
    interface Steps {
        /** Writes all bytes, or throws. */
        void write(FileChannel out, ByteBuffer bytes, long left) throws IOException;

        /** A temporary path for a note before it is renamed. */
        Path temporaryNote() throws IOException;

        /** Runs after each part. */
        void progress();
    }

    /**
     * Fetches the missing bytes.
     *
     * @param noteBytes how many bytes to fetch between notes
     * @return the digest; empty if the remote file is not the expected version
     */
    Optional<String> complete(long noteBytes, Steps steps) throws IOException {
        MessageDigest digest = Sha256.start();
        OwnFiles.folder(data.getParent());
        long start = readAgain(digest, steps);
        long copied = start;
        try (FSDataInputStream in = file.open();
                FileChannel out = OwnFiles.open(data)) {
            out.truncate(start).position(start);
            seek(in, start);
            byte[] buffer = new byte[BUFFER_BYTES];
            long noted = start;
            for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                requireNotInterrupted();
                if (copied + read > file.byteSize()) {
                    return Optional.empty();
                }
                steps.write(out, ByteBuffer.wrap(buffer, 0, read), file.byteSize() - copied);
                digest.update(buffer, 0, read);
                copied += read;
                steps.progress();
                if (resumable && copied - noted >= noteBytes) {
                    out.force(false);
                    notes.put(file, String.valueOf(copied), steps.temporaryNote());
                    noted = copied;
                }
            }
            // A name must not appear before its bytes are on disk.
            out.force(true);
        } catch (LlamafuException e) {
            // There is no room, and the partial file would only take more of it.
            discard();
            throw e;
        } catch (IOException | RuntimeException e) {
            keep(copied, steps);
            throw e instanceof IOException failure ? failure : new IOException(e.toString(), e);
        }
        return copied == file.byteSize() ? Optional.of(Sha256.finish(digest)) : Optional.empty();
    }

    private void seek(FSDataInputStream in, long start) throws IOException {
        if (start == 0) {
            return;
        }
        try {
            in.seek(start);
        } catch (UnsupportedOperationException e) {
            discard();
            throw new IOException("its file system cannot seek within the file; it is fetched from the start", e);
        }
    }

    /** Feeds the bytes already here to the digest, and returns their number. */
    private long readAgain(MessageDigest digest, Steps steps) throws IOException {
        long bytes = resumable ? bytesHere() : 0;
        if (bytes == 0) {
            return 0;
        }
        byte[] buffer = new byte[BUFFER_BYTES];
        long left = bytes;
        try (InputStream in = Files.newInputStream(data)) {
            while (left > 0) {
                requireNotInterrupted();
                int read = in.read(buffer, 0, (int) Math.min(left, buffer.length));
                if (read < 0) {
                    throw new EOFException(data + " became shorter");
                }
                digest.update(buffer, 0, read);
                left -= read;
                steps.progress();
                Files.setLastModifiedTime(data, FileTime.from(Instant.now()));
            }
        }
        return bytes;
    }

    private long bytesHere() throws IOException {
        try {
            long bytes = OwnFiles.isOurs(data)
                    ? notes.find(file).map(Long::parseLong).orElse(0L)
                    : 0;
            return bytes > 0 && bytes <= Math.min(Files.size(data), file.byteSize()) ? bytes : 0;
        } catch (NoSuchFileException | NumberFormatException e) {
            return 0;
        }
    }

    private void requireNotInterrupted() throws InterruptedIOException {
        if (Thread.currentThread().isInterrupted()) {
            throw new InterruptedIOException("interrupted while reading " + file.uri());
        }
    }

    /** As much as possible: an interrupt closes channels, so it is deferred. */
    private void keep(long copied, Steps steps) {
        if (!resumable || copied == 0) {
            return;
        }
        boolean interrupted = Thread.interrupted();
        try (FileChannel out = FileChannel.open(data, StandardOpenOption.WRITE)) {
            if (out.size() >= copied) {
                out.force(false);
                notes.put(file, String.valueOf(copied), steps.temporaryNote());
            }
        } catch (IOException e) {
            // The last note stays valid.
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Deletes the partial file and its note. */
    void discard() throws IOException {
        Files.deleteIfExists(data);
        notes.remove(file.uri());
    }
}
