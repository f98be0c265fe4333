package io.llamafu.flink.artifact;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The fetched files by their SHA-256. A user of a content holds a hard link to it, so the number of links shows whether
 * it is in use by any process. Before a process first uses a content, it reads it and verifies the SHA-256.
 */
final class CacheContents {
    private static final Logger LOG = LoggerFactory.getLogger(CacheContents.class);
    private static final String ATTRIBUTES = "unix:nlink,size";

    private final Path folder;
    private final Path uses;
    private final SoundContents sound;
    private final AtomicLong looks = new AtomicLong();

    /**
     * Contents in a folder.
     *
     * @param folder has the files
     * @param uses has an empty file for each content, whose time is that of the last use; the time of the content
     *     itself must not change, because readers distinguish versions by it
     */
    CacheContents(Path folder, Path uses, SoundContents sound) {
        this.folder = folder;
        this.uses = uses;
        this.sound = sound;
    }

    /**
     * A file at one moment.
     *
     * @param users number of links in addition to its own
     */
    record Content(String digest, long bytes, int users) {
        boolean isIdle() {
            return users == 0;
        }
    }

    /** Provides a place for a file. */
    interface Parking {
        Path file() throws IOException;
    }

    Path fileOf(String digest) {
        return folder.resolve(digest);
    }

    /**
     * Makes a complete file the content of its digest. An existing intact content stays, because others have links to
     * it; a damaged one is replaced, and its users keep their links.
     *
     * @param complete no longer exists afterwards
     * @param progress runs after each MiB of a file that is read
     */
    void add(Path complete, String digest, Runnable progress) throws IOException {
        Path content = fileOf(digest);
        OwnFiles.folder(folder);
        try {
            Files.createLink(content, complete);
            sound.remember(content, digest);
        } catch (FileAlreadyExistsException e) {
            replaceUnlessSound(content, complete, digest, progress);
        }
        Files.deleteIfExists(complete);
        markUsed(digest);
    }

    private void replaceUnlessSound(Path content, Path complete, String digest, Runnable progress) throws IOException {
        try {
            if (isSound(content, digest, progress)) {
                return;
            }
            LOG.warn("{} was damaged, or others could have changed it; it is replaced.", content);
        } catch (NoSuchFileException e) {
            // Evicted at this moment.
        }
        Files.move(complete, content, StandardCopyOption.ATOMIC_MOVE);
        sound.remember(content, digest);
    }

    private boolean isSound(Path content, String digest, Runnable progress) throws IOException {
        try {
            return OwnFiles.isOurs(content) && sound.isSound(content, digest, progress);
        } catch (InterruptedIOException | NoSuchFileException e) {
            throw e;
        } catch (IOException e) {
            LOG.warn("{} cannot be read.", content, e);
            return false;
        }
    }

    /**
     * Makes the target a link to a content, replacing an existing target.
     *
     * @param progress runs after each MiB of a file that is read
     * @return false if the content is missing, incomplete or damaged, or others could have changed it
     */
    boolean link(String digest, long byteSize, Path target, Runnable progress) throws IOException {
        Path link = target.resolveSibling("." + UUID.randomUUID());
        OwnFiles.folder(target.getParent());
        try {
            // Linux may refuse to link a file of another user.
            boolean ours = OwnFiles.isOurs(fileOf(digest));
            if (ours) {
                // Linked before it is read, so that it is not evicted meanwhile.
                Files.createLink(link, fileOf(digest));
            }
            if (!ours || Files.size(link) != byteSize || !isSound(link, digest, progress)) {
                LOG.warn("{} is damaged, or others could have changed it; it is fetched again.", fileOf(digest));
                return false;
            }
            // Renaming a link over another link to the same file does nothing.
            Files.move(link, target, StandardCopyOption.ATOMIC_MOVE);
            markUsed(digest);
            return true;
        } catch (NoSuchFileException e) {
            return false;
        } finally {
            Files.deleteIfExists(link);
        }
    }

    private void markUsed(String digest) throws IOException {
        Path use = uses.resolve(digest);
        OwnFiles.folder(uses);
        OwnFiles.open(use).close();
        try {
            Files.setLastModifiedTime(use, FileTime.from(Instant.now()));
        } catch (NoSuchFileException e) {
            // Evicted at this moment.
        }
    }

    /** All contents; looks at each file once. */
    List<Content> list() throws IOException {
        List<Content> contents = new ArrayList<>();
        if (Files.notExists(folder)) {
            return contents;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                looks.incrementAndGet();
                try {
                    Map<String, Object> attributes = Files.readAttributes(file, ATTRIBUTES);
                    contents.add(new Content(
                            file.getFileName().toString(),
                            (long) attributes.get("size"),
                            (int) attributes.get("nlink") - 1));
                } catch (NoSuchFileException e) {
                    // Another process evicted it since it was listed.
                }
            }
        }
        return contents;
    }

    /** When a content was last used. */
    FileTime lastUsed(Content content) throws IOException {
        looks.incrementAndGet();
        try {
            return Files.getLastModifiedTime(uses.resolve(content.digest()));
        } catch (NoSuchFileException e) {
            return FileTime.fromMillis(0);
        }
    }

    /**
     * Deletes a content without users.
     *
     * @param parking where it is moved first: a path that does not exist, on the same file system. There it cannot be
     *     found, and its links show whether it was linked before. A process that had found it earlier and links it now
     *     keeps the bytes; for all others the content is fetched again
     * @return the bytes freed; 0 if it is in use or gone
     */
    long evict(String digest, Parking parking) throws IOException {
        Path content = fileOf(digest);
        Path parked;
        try {
            if (users(content) > 0) {
                return 0;
            }
            parked = parking.file();
            Files.move(content, parked, StandardCopyOption.ATOMIC_MOVE);
        } catch (NoSuchFileException e) {
            return 0;
        }
        boolean evicted = users(parked) == 0;
        if (!evicted) {
            putBack(parked, content);
        }
        long bytes = Files.size(parked);
        Files.delete(parked);
        if (evicted) {
            Files.deleteIfExists(uses.resolve(digest));
        }
        return evicted ? bytes : 0;
    }

    private static void putBack(Path parked, Path content) throws IOException {
        try {
            Files.createLink(content, parked);
        } catch (FileAlreadyExistsException e) {
            // Fetched again at this moment; a process that linked this one keeps it.
        }
    }

    private int users(Path file) throws IOException {
        looks.incrementAndGet();
        return (int) Files.getAttribute(file, "unix:nlink") - 1;
    }

    /** The number of files looked at: the cost of counting and evicting. */
    long looks() {
        return looks.get();
    }
}
