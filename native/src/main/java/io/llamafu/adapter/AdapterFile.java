package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;

import static java.util.Objects.requireNonNull;

/**
 * One version of an adapter in the catalog. Its identity is the digest: a file that is published again under the same
 * name is another version.
 *
 * @param name the catalog name, see {@link AdapterName}
 * @param path the real file, links resolved
 * @param digest lower-case hexadecimal SHA-256 of the content
 * @param stamp what told this version from another without reading it
 */
public record AdapterFile(String name, Path path, String digest, Stamp stamp) {

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

        static Stamp of(Path path) throws IOException {
            return of(Files.readAttributes(path, BasicFileAttributes.class));
        }
    }

    public AdapterFile {
        requireNonNull(name, "name is null");
        requireNonNull(path, "path is null");
        requireNonNull(digest, "digest is null");
        requireNonNull(stamp, "stamp is null");
    }

    public long byteSize() {
        return stamp.byteSize();
    }

    /**
     * Checks that the path still holds this version. A loader calls it after it has read the file: only then are the bytes
     * that it has those of the digest.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if another version was published meanwhile, or the
     *     file is gone; resolve the name again
     */
    public void requireUnchanged() {
        try {
            if (Stamp.of(path).equals(stamp)) {
                return;
            }
        } catch (IOException e) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_NOT_FOUND,
                    "The adapter '%s' was removed from '%s' while it was loaded.".formatted(name, path),
                    e);
        }
        throw new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "The adapter '%s' was published again in '%s' while it was loaded; ask for it again."
                        .formatted(name, path));
    }
}
