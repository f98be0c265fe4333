package io.llamafu.flink.artifact;

import io.llamafu.adapter.Sha256;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.Properties;

/**
 * Facts about versions of remote files: a small file per URI, with one value for its last version. A new version
 * invalidates the value. The lock files beside them are never removed, because other processes may be waiting for them.
 */
final class CacheIndex {
    /** The value is the SHA-256 of the content, which need not be read again while size and time are the same. */
    static final String DIGEST = "sha256";
    /** The value is the number of bytes that are safely on disk. */
    static final String FETCHED_BYTES = "fetched";

    private static final String URI_KEY = "uri";
    private static final String SIZE_KEY = "size";
    private static final String TIME_KEY = "modified";

    private final Path folder;
    private final String valueKey;

    /**
     * An index in a folder.
     *
     * @param valueKey the meaning of the value
     */
    CacheIndex(Path folder, String valueKey) {
        this.folder = folder;
        this.valueKey = valueKey;
    }

    /** The value of this version of a file, if known, and nobody else could have written it. */
    Optional<String> find(RemoteFile file) {
        Properties entry = new Properties();
        Path path = entryOf(file.uri());
        try {
            if (!OwnFiles.isOurs(path)) {
                return Optional.empty();
            }
            try (InputStream in = Files.newInputStream(path)) {
                entry.load(in);
            }
            RemoteFile known = new RemoteFile(
                    URI.create(entry.getProperty(URI_KEY, "")),
                    Long.parseLong(entry.getProperty(SIZE_KEY, "")),
                    Long.parseLong(entry.getProperty(TIME_KEY, "")));
            return known.isSameVersionAs(file) ? Optional.ofNullable(entry.getProperty(valueKey)) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | IllegalArgumentException e) {
            // An unreadable value is fetched again.
            return Optional.empty();
        }
    }

    /**
     * Stores a value for a version.
     *
     * @param temporary a file to write first, on the same file system; it is renamed, so that readers see no partial
     *     file
     */
    void put(RemoteFile file, String value, Path temporary) throws IOException {
        Properties entry = new Properties();
        entry.setProperty(URI_KEY, file.uri().toString());
        entry.setProperty(SIZE_KEY, String.valueOf(file.byteSize()));
        entry.setProperty(TIME_KEY, String.valueOf(file.modificationTime()));
        entry.setProperty(valueKey, value);
        OwnFiles.folder(folder);
        OwnFiles.folder(temporary.getParent());
        try (OutputStream out = Channels.newOutputStream(OwnFiles.open(temporary))) {
            entry.store(out, null);
        }
        Files.move(temporary, entryOf(file.uri()), StandardCopyOption.ATOMIC_MOVE);
    }

    void remove(URI uri) throws IOException {
        Files.deleteIfExists(entryOf(uri));
    }

    /** Held while the file is fetched. */
    Path lockOf(URI uri) {
        return folder.resolve(idOf(uri) + ".lock");
    }

    private Path entryOf(URI uri) {
        return folder.resolve(idOf(uri) + ".properties");
    }

    /** A file name for a URI. */
    static String idOf(URI uri) {
        return Sha256.of(uri.toString());
    }
}
