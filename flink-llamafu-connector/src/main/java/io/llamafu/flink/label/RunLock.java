package io.llamafu.flink.label;

import org.apache.flink.core.fs.Path;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * Keeps a second run from an output on a local disk; the lock ends with its process. Two runs on another file system would do the
 * work twice, but lose nothing.
 */
final class RunLock implements AutoCloseable {
    private final Optional<FileChannel> channel;

    private RunLock(Optional<FileChannel> channel) {
        this.channel = channel;
    }

    /** Empty if another run has it. */
    static Optional<RunLock> acquire(LabelStore store) {
        Path path = store.hidden("lock");
        try {
            if (!store.isLocal()) {
                return Optional.of(new RunLock(Optional.empty()));
            }
            java.nio.file.Path file = java.nio.file.Path.of(path.toUri().getPath());
            Files.createDirectories(file.getParent());
            FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (isLocked(channel)) {
                return Optional.of(new RunLock(Optional.of(channel)));
            }
            channel.close();
            return Optional.empty();
        } catch (IOException e) {
            throw LabelStore.failed("written", path, e);
        }
    }

    private static boolean isLocked(FileChannel channel) throws IOException {
        try {
            FileLock lock = channel.tryLock();
            return lock != null;
        } catch (OverlappingFileLockException e) {
            return false;
        }
    }

    @Override
    public void close() {
        if (channel.isPresent()) {
            try {
                channel.get().close();
            } catch (IOException e) {
                // The lock ends with the process at the latest.
            }
        }
    }
}
