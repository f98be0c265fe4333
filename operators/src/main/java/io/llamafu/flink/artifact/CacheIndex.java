package io.llamafu.flink.artifact;

import io.llamafu.adapter.Sha256;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.Properties;

/**
 * What is known of versions of remote files: a small file for each URI, with one value for its last version. Who publishes
 * another version makes the value void. Locks beside them are never removed: others may wait for those.
 */
final class CacheIndex {
    /** The value is the SHA-256 of the content, so that it need not be read again while size and time are the same. */
    static final String DIGEST = "sha256";
    /** The value says how many bytes of the content are safely on the disk. */
    static final String FETCHED_BYTES = "fetched";

    private static final String URI_KEY = "uri";
    private static final String SIZE_KEY = "size";
    private static final String TIME_KEY = "modified";

    private final Path folder;
    private final String valueKey;

    /**
     * An index in a folder.
     *
     * @param valueKey what the value is
     */
    CacheIndex(Path folder, String valueKey) {
        this.folder = folder;
        this.valueKey = valueKey;
    }

    /** The value of this version of a file, if it is known. */
    Optional<String> find(RemoteFile file) {
        Properties entry = new Properties();
        try (InputStream in = Files.newInputStream(entryOf(file.uri()))) {
            entry.load(in);
            RemoteFile known = new RemoteFile(
                    URI.create(entry.getProperty(URI_KEY, "")),
                    Long.parseLong(entry.getProperty(SIZE_KEY, "")),
                    Long.parseLong(entry.getProperty(TIME_KEY, "")));
            return known.isSameVersionAs(file) ? Optional.ofNullable(entry.getProperty(valueKey)) : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | IllegalArgumentException e) {
            // What cannot be read is fetched again.
            return Optional.empty();
        }
    }

    /**
     * Remembers a version.
     *
     * @param temporary a file to write first, on the same file system; renamed, so that nobody reads a part
     */
    void put(RemoteFile file, String value, Path temporary) throws IOException {
        Properties entry = new Properties();
        entry.setProperty(URI_KEY, file.uri().toString());
        entry.setProperty(SIZE_KEY, String.valueOf(file.byteSize()));
        entry.setProperty(TIME_KEY, String.valueOf(file.modificationTime()));
        entry.setProperty(valueKey, value);
        Files.createDirectories(folder);
        Files.createDirectories(temporary.getParent());
        try (OutputStream out = Files.newOutputStream(temporary)) {
            entry.store(out, null);
        }
        Files.move(temporary, entryOf(file.uri()), StandardCopyOption.ATOMIC_MOVE);
    }

    void remove(URI uri) throws IOException {
        Files.deleteIfExists(entryOf(uri));
    }

    /** Held by who fetches a file. */
    Path lockOf(URI uri) {
        return folder.resolve(idOf(uri) + ".lock");
    }

    private Path entryOf(URI uri) {
        return folder.resolve(idOf(uri) + ".properties");
    }

    /** A file name that stands for a URI. */
    static String idOf(URI uri) {
        return Sha256.of(uri.toString());
    }
}
