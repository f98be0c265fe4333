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
 * One version of an adapter in the catalog. Its identity is the digest: a new file under the same name is another
 * version.
 *
 * @param version identifies it for the source
 * @param path the real file, with links resolved
 * @param digest lower-case hexadecimal SHA-256 of the content
 * @param stamp attributes of the file when it was read
 * @param card from {@code NAME.json} beside it
 * @param badTensor a tensor with invalid weights, see {@link #requireSound}
 * @param origin added to the path of a fetched file in messages; otherwise empty
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
     * The attributes of a file. Publishing by rename always changes them, writing in place nearly always.
     *
     * @param byteSize bytes
     * @param lastModified as precise as the file system stores it
     * @param fileKey the inode if the file system has one, else empty
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

        /** Of a file; follows links. */
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
     * Reads a version. The card comes first, so that an invalid one is found without reading the file.
     *
     * @param known an earlier version; if it has the same file, that is not read again
     * @param pause runs after each MiB read
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

    /** This content at its current pinned path; empty if other content was pinned. */
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

    /** The scale of this adapter for an entry of a stack: the entry's own, or the adapter's default. */
    public float scaleOf(AdapterStack.Entry entry) {
        return entry.scale().orElse(card.defaultScale());
    }

    /** A failure to load this file, with its origin, because the path of a fetched file means nothing to users. */
    public LlamafuException explain(LlamafuException failure) {
        return origin.isEmpty() || !OF_THE_FILE.contains(failure.code())
                ? failure
                : new LlamafuException(failure.code(), failure.sentence() + " " + origin, failure);
    }

    public long byteSize() {
        return stamp.byteSize();
    }

    /**
     * Whether the path still has this version. A loader checks this after reading the file: only then does the digest
     * describe the bytes it has read.
     */
    public boolean isUnchanged() {
        try {
            return Stamp.of(path).equals(stamp);
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Checks that the weights are finite and within the range of trained weights.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if one is infinite, NaN, or has a magnitude above
     *     65,504
     */
    public void requireSound() {
        badWeights().ifPresent(problem -> {
            throw new LlamafuException(ErrorCode.ADAPTER_INVALID, problem);
        });
    }

    /** Why {@link #requireSound} rejects it, as a sentence. */
    public Optional<String> badWeights() {
        return badTensor.map(tensor -> badWeights(name(), tensor));
    }

    static String badWeights(String adapter, String tensor) {
        return "The adapter '%s' is no valid LoRA adapter: %s has a weight that is no finite number from -%d to %d; train or convert it again."
                .formatted(adapter, tensor, WeightScan.MOST, WeightScan.MOST);
    }

    /**
     * Checks that the path {@link #isUnchanged still has this version}.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if another version was published meanwhile, or
     *     the file is gone; resolve the name again
     */
    public void requireUnchanged() {
        if (!isUnchanged()) {
            throw changed();
        }
    }

    /** The exception of {@link #requireUnchanged}. */
    public LlamafuException changed() {
        return new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "The adapter '%s' was published again in '%s', or removed, while it was loaded; ask for it again."
                        .formatted(name(), path));
    }
}
