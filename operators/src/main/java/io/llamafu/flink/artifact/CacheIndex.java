package io.llamafu.flink.artifact;

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
 * Which content a remote file had when it was fetched: a small file for each URI, so that it need not be read again while
 * its size and time are the same. Entries are never removed, nor are the locks beside them: others may wait for those.
 */
final class CacheIndex {
    private static final String URI_KEY = "uri";
    private static final String SIZE_KEY = "size";
    private static final String TIME_KEY = "modified";
    private static final String DIGEST_KEY = "sha256";

    private final Path folder;

    CacheIndex(Path folder) {
        this.folder = folder;
    }

    /** The digest of this version of a file, if it was fetched before. */
    Optional<String> digestOf(RemoteFile file) {
        Properties entry = new Properties();
        try (InputStream in = Files.newInputStream(entryOf(file.uri()))) {
            entry.load(in);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | IllegalArgumentException e) {
            // What cannot be read is fetched again.
            return Optional.empty();
        }
        boolean same = file.uri().toString().equals(entry.getProperty(URI_KEY))
                && String.valueOf(file.byteSize()).equals(entry.getProperty(SIZE_KEY))
                && String.valueOf(file.modificationTime()).equals(entry.getProperty(TIME_KEY));
        return same ? Optional.ofNullable(entry.getProperty(DIGEST_KEY)) : Optional.empty();
    }

    /**
     * Remembers a version.
     *
     * @param temporary a file to write first, on the same file system; renamed, so that nobody reads a part
     */
    void put(RemoteFile file, String digest, Path temporary) throws IOException {
        Properties entry = new Properties();
        entry.setProperty(URI_KEY, file.uri().toString());
        entry.setProperty(SIZE_KEY, String.valueOf(file.byteSize()));
        entry.setProperty(TIME_KEY, String.valueOf(file.modificationTime()));
        entry.setProperty(DIGEST_KEY, digest);
        try (OutputStream out = Files.newOutputStream(temporary)) {
            entry.store(out, null);
        }
        Files.move(temporary, entryOf(file.uri()), StandardCopyOption.ATOMIC_MOVE);
    }

    /** Held by who fetches a file. */
    Path lockOf(URI uri) {
        return folder.resolve(Sha256.of(uri.toString()) + ".lock");
    }

    private Path entryOf(URI uri) {
        return folder.resolve(Sha256.of(uri.toString()) + ".properties");
    }
}
