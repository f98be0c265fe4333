package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * One version of an adapter in the catalog. Its identity is the digest: a file that is published again under the same
 * name is another version.
 *
 * @param name the catalog name, see {@link AdapterName}
 * @param path the real file, links resolved
 * @param digest lower-case hexadecimal SHA-256 of the content
 * @param stamp what told this version from another without reading it
 * @param card what {@code NAME.json} beside it says
 * @param badTensor one with weights that no computation bears, see {@link #requireSound}
 */
public record AdapterFile(
        String name, Path path, String digest, Stamp stamp, AdapterCard card, Optional<String> badTensor) {

    /**
     * What the file system says of a file. Publishing by rename changes it always, writing in place nearly always.
     *
     * @param byteSize bytes
     * @param lastModified as precise as the file system keeps it
     * @param fileKey the inode where the file system has one, else empty
     */
    public record Stamp(long byteSize, FileTime lastModified, String fileKey) {
        public Stamp {
            requireNonNull(lastModified, "lastModified is null");
            requireNonNull(fileKey, "fileKey is null");
        }

        static Stamp of(BasicFileAttributes attributes) {
            Object key = attributes.fileKey();
            return new Stamp(attributes.size(), attributes.lastModifiedTime(), key == null ? "" : key.toString());
        }

        /** Of a file; links are followed. */
        public static Stamp of(Path path) throws IOException {
            return of(Files.readAttributes(path, BasicFileAttributes.class));
        }
    }

    public AdapterFile {
        requireNonNull(name, "name is null");
        requireNonNull(path, "path is null");
        requireNonNull(digest, "digest is null");
        requireNonNull(stamp, "stamp is null");
        requireNonNull(card, "card is null");
        requireNonNull(badTensor, "badTensor is null");
    }

    /** The scale that an entry of a stack asks of this adapter: its own, or the adapter's default. */
    public float scaleOf(AdapterStack.Entry entry) {
        return entry.scale().orElse(card.defaultScale());
    }

    /** The same content by another path, or with another card. */
    AdapterFile with(Path newPath, AdapterCard newCard) {
        return new AdapterFile(name, newPath, digest, stamp, newCard, badTensor);
    }

    public long byteSize() {
        return stamp.byteSize();
    }

    /**
     * Whether the path still holds this version. A loader asks after it has read the file: only if so are the bytes that
     * it has those of the digest.
     */
    public boolean isUnchanged() {
        try {
            return Stamp.of(path).equals(stamp);
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Checks that its weights are finite, and not greater than any training makes them.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if one is infinite, no number, or greater than 65,504,
     *     negative or not
     */
    public void requireSound() {
        badWeights().ifPresent(problem -> {
            throw new LlamafuException(ErrorCode.ADAPTER_INVALID, problem);
        });
    }

    /** Why {@link #requireSound} refuses it, as a sentence. */
    public Optional<String> badWeights() {
        return badTensor.map(tensor ->
                "The adapter '%s' is no valid LoRA adapter: %s has a weight that is no finite number from -%d to %d; train or convert it again."
                        .formatted(name, tensor, WeightScan.MOST, WeightScan.MOST));
    }

    /**
     * Checks that the path {@link #isUnchanged still holds this version}.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if another version was published meanwhile, or the
     *     file is gone; resolve the name again
     */
    public void requireUnchanged() {
        if (!isUnchanged()) {
            throw changed();
        }
    }

    /** What {@link #requireUnchanged} throws. */
    public LlamafuException changed() {
        return new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "The adapter '%s' was published again in '%s', or removed, while it was loaded; ask for it again."
                        .formatted(name, path));
    }
}
