package io.llamafu.flink.artifact;

import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.Sha256;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Verifies that files have the content that their name, a SHA-256, says, because disks lose bits and people edit files.
 * A file is read once, and again when its size, time or inode has changed. Thread-safe.
 */
final class SoundContents {
    private final Map<String, Known> contents = new ConcurrentHashMap<>();

    private static final class Known {
        /** Held while the file is read. */
        private final ReentrantLock lock = new ReentrantLock();

        private Optional<Verdict> verdict = Optional.empty();
    }

    private record Verdict(AdapterFile.Stamp stamp, boolean sound) {}

    /**
     * Whether a file has the content of a digest. Reads it, unless it was read before.
     *
     * @param progress runs after each MiB
     * @throws InterruptedIOException if the thread is interrupted
     */
    boolean isSound(Path file, String digest, Runnable progress) throws IOException {
        Known known = contents.computeIfAbsent(digest, missing -> new Known());
        lock(known, file, progress);
        try {
            AdapterFile.Stamp stamp = AdapterFile.Stamp.of(file);
            Optional<Verdict> before =
                    known.verdict.filter(verdict -> verdict.stamp().equals(stamp));
            if (before.isPresent()) {
                return before.get().sound();
            }
            boolean sound = digestOf(file, progress).equals(digest)
                    && AdapterFile.Stamp.of(file).equals(stamp);
            known.verdict = Optional.of(new Verdict(stamp, sound));
            return sound;
        } finally {
            known.lock.unlock();
        }
    }

    /** Records a file whose digest was computed while it was written. */
    void remember(Path file, String digest) throws IOException {
        Known known = contents.computeIfAbsent(digest, missing -> new Known());
        lock(known, file, () -> {});
        try {
            known.verdict = Optional.of(new Verdict(AdapterFile.Stamp.of(file), true));
        } finally {
            known.lock.unlock();
        }
    }

    /** Another thread that reads the file is progress too. If that one hangs, its own call is given up. */
    private static void lock(Known known, Path file, Runnable progress) throws IOException {
        try {
            while (!known.lock.tryLock(1, TimeUnit.SECONDS)) {
                progress.run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw interrupted(file);
        }
    }

    private static String digestOf(Path file, Runnable progress) throws IOException {
        try {
            return Sha256.of(file, () -> {
                if (Thread.currentThread().isInterrupted()) {
                    throw new UncheckedIOException(interrupted(file));
                }
                progress.run();
            });
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private static InterruptedIOException interrupted(Path file) {
        return new InterruptedIOException("interrupted while checking " + file);
    }
}
