package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource.Pinned;
import io.llamafu.adapter.AdapterSource.Version;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

import static java.util.Objects.requireNonNull;

/**
 * One version of an adapter in the catalog. Its identity is the digest: a file that is published again under the same
 * name is another version.
 *
 * @param version as the source tells it from others
 * @param path the real file, links resolved
 * @param digest lower-case hexadecimal SHA-256 of the content
 * @param stamp what the file system said of the file when it was read
 * @param card what {@code NAME.json} beside it says
 * @param badTensor one with weights that no computation bears, see {@link #requireSound}
 * @param origin what messages add to the path of a file that was fetched; else empty
 */
public record AdapterFile(
        Version version,
        Path path,
        String digest,
        Stamp stamp,
        AdapterCard card,
        Optional<String> badTensor,
        String origin) {
    private static final Set<ErrorCode> OF_THE_FILE =
            EnumSet.of(ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE, ErrorCode.ADAPTER_LOAD_FAILED);

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
        requireNonNull(version, "version is null");
        requireNonNull(path, "path is null");
        requireNonNull(digest, "digest is null");
        requireNonNull(stamp, "stamp is null");
        requireNonNull(card, "card is null");
        requireNonNull(badTensor, "badTensor is null");
        requireNonNull(origin, "origin is null");
    }

    /**
     * Reads a version. The card comes first, so that a bad one is found without reading the file.
     *
     * @param known an earlier version; if it has the same file, that is not read again
     * @param pause runs after each MiB that is read
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if the card is malformed
     */
    static AdapterFile read(Pinned pinned, Optional<AdapterFile> known, Runnable pause) throws IOException {
        Version version = pinned.version();
        AdapterCard card = AdapterCard.read(pinned.card(), version.name());
        Path path = pinned.file();
        Stamp stamp = Stamp.of(path);
        if (known.isPresent() && known.get().version().content().equals(version.content())) {
            AdapterFile same = known.get();
            return new AdapterFile(version, path, same.digest(), stamp, card, same.badTensor(), pinned.origin());
        }
        WeightScan weights = WeightScan.of(path);
        String digest;
        if (pinned.digest().isPresent()) {
            digest = pinned.digest().get();
            Sha256.read(path, weights::take, pause);
        } else {
            digest = Sha256.of(path, weights::take, pause);
        }
        return new AdapterFile(version, path, digest, stamp, card, weights.found(), pinned.origin());
    }

    /** This content where it is pinned now; empty if another one was pinned. */
    Optional<AdapterFile> at(Pinned pinned) {
        if (pinned.digest().isEmpty()) {
            return Optional.of(this);
        }
        try {
            return pinned.digest().get().equals(digest)
                    ? Optional.of(new AdapterFile(
                            version, pinned.file(), digest, Stamp.of(pinned.file()), card, badTensor, pinned.origin()))
                    : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** The catalog name, see {@link AdapterName}. */
    public String name() {
        return version.name();
    }

    /** The scale that an entry of a stack asks of this adapter: its own, or the adapter's default. */
    public float scaleOf(AdapterStack.Entry entry) {
        return entry.scale().orElse(card.defaultScale());
    }

    /** A failure to load this file, with its origin: the path of a file that was fetched says nothing to a user. */
    public LlamafuException explain(LlamafuException failure) {
        return origin.isEmpty() || !OF_THE_FILE.contains(failure.code())
                ? failure
                : new LlamafuException(failure.code(), failure.getMessage() + " " + origin, failure);
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
                        .formatted(name(), tensor, WeightScan.MOST, WeightScan.MOST));
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
                        .formatted(name(), path));
    }
}
