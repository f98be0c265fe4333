package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions.ModelLoading;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/**
 * Detects in-place writes to a model file, which would change answers while the file is loaded and, if it is mapped,
 * afterwards. A file replaced by a rename stays intact for a process that has it open. Thread-safe.
 */
final class ModelWatch {
    private static final long INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final Path path;
    private final boolean mapped;
    private final Stamp original;
    private volatile boolean changed;
    private volatile long lastLookNanos = System.nanoTime();

    /** Without the change time, which also changes with the hard links of the artifact cache. */
    private record Stamp(Object fileKey, long byteSize, FileTime lastModified) {
        static Stamp of(Path path) throws IOException {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            return new Stamp(attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
        }
    }

    private ModelWatch(Path path, boolean mapped, Stamp original) {
        this.path = path;
        this.mapped = mapped;
        this.original = original;
    }

    /** Create it before the file is first read. */
    static ModelWatch of(Path path, ModelLoading loading) {
        try {
            return new ModelWatch(path, loading == ModelLoading.MAP, Stamp.of(path));
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.MODEL_NOT_FOUND, "The model '%s' cannot be read: %s".formatted(path, e), e);
        }
    }

    /**
     * Checks after loading that the file is still the one that was validated.
     *
     * @throws LlamafuException with MODEL_INVALID
     */
    void requireUnchangedByLoad() {
        Stamp now;
        try {
            now = Stamp.of(path);
        } catch (IOException e) {
            return; // removed, but the open file stays intact
        }
        if (!now.equals(original)) {
            throw new LlamafuException(
                    ErrorCode.MODEL_INVALID,
                    "The model '%s' was written to or replaced while it was loaded; publish it by renaming a complete file."
                            .formatted(path));
        }
    }

    /**
     * Checks the file of a mapped model, at most once per second.
     *
     * @throws LlamafuException with ENGINE_FAILED if it has changed since it was loaded, and on every later call
     */
    void requireUnchanged(long nowNanos) {
        if (!mapped) {
            return;
        }
        if (!changed && nowNanos - lastLookNanos >= INTERVAL_NANOS) {
            lastLookNanos = nowNanos;
            changed = wasWrittenTo();
        }
        if (changed) {
            throw new LlamafuException(
                    ErrorCode.ENGINE_FAILED,
                    "The model '%s' was written to while it was mapped, so that its answers cannot be trusted; publish it by renaming a complete file, or set model-loading to read."
                            .formatted(path));
        }
    }

    boolean hasChanged() {
        return changed;
    }

    private boolean wasWrittenTo() {
        try {
            Stamp now = Stamp.of(path);
            return Objects.equals(now.fileKey(), original.fileKey()) && !now.equals(original);
        } catch (IOException e) {
            return false; // removed or unreachable: the mapping stays intact
        }
    }
}
