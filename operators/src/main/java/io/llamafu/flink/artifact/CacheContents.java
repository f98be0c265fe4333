package io.llamafu.flink.artifact;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * The fetched files by their SHA-256. Who uses one holds a hard link to it, so that the number of links tells whether it
 * is in use, whatever process uses it.
 */
final class CacheContents {
    private static final String LINK_COUNT = "unix:nlink";

    private final Path folder;
    private final Path uses;

    /**
     * Contents in a folder.
     *
     * @param folder has the files
     * @param uses has an empty file for each, of which the time says when it was used last: the time of the content itself
     *     must stay, because readers tell versions apart by it
     */
    CacheContents(Path folder, Path uses) {
        this.folder = folder;
        this.uses = uses;
    }

    private record Content(Path file, long bytes, boolean inUse, FileTime lastUsed) {}

    Path fileOf(String digest) {
        return folder.resolve(digest);
    }

    /** Makes a complete file the content of its digest. One that is there stays, because others have links to it. */
    void add(Path complete, String digest) throws IOException {
        Path content = fileOf(digest);
        try {
            Files.createLink(content, complete);
            Files.delete(complete);
        } catch (FileAlreadyExistsException e) {
            if (Files.size(content) != Files.size(complete)) {
                Files.move(complete, content, StandardCopyOption.ATOMIC_MOVE);
            }
        }
        markUsed(digest);
    }

    /**
     * Makes the target a link to a content, in place of what the target was.
     *
     * @return false if the content is not here, or not complete
     */
    boolean link(String digest, long byteSize, Path target) throws IOException {
        Path content = fileOf(digest);
        Path link = target.resolveSibling("." + UUID.randomUUID());
        try {
            if (Files.size(content) != byteSize) {
                return false;
            }
            if (!isSameFile(content, target)) {
                Files.createLink(link, content);
                Files.move(link, target, StandardCopyOption.ATOMIC_MOVE);
            }
            markUsed(digest);
            return true;
        } catch (NoSuchFileException e) {
            return false;
        } finally {
            Files.deleteIfExists(link);
        }
    }

    private static boolean isSameFile(Path content, Path target) throws IOException {
        return Files.exists(target) && Files.isSameFile(content, target);
    }

    private void markUsed(String digest) throws IOException {
        Path use = uses.resolve(digest);
        if (Files.notExists(use)) {
            Files.write(use, new byte[0]);
        }
        Files.setLastModifiedTime(use, FileTime.from(Instant.now()));
    }

    long bytes() throws IOException {
        return list().stream().mapToLong(Content::bytes).sum();
    }

    /** Deletes the content that is not in use and was used the longest ago; false if all are in use. */
    boolean evictOldest() throws IOException {
        Optional<Content> oldest =
                list().stream().filter(content -> !content.inUse()).min(Comparator.comparing(Content::lastUsed));
        if (oldest.isEmpty()) {
            return false;
        }
        Files.deleteIfExists(oldest.get().file());
        Files.deleteIfExists(uses.resolve(oldest.get().file().getFileName()));
        return true;
    }

    private List<Content> list() throws IOException {
        List<Content> contents = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                lookAt(file).ifPresent(contents::add);
            }
        }
        return contents;
    }

    /** Empty if another process evicted it since it was listed. */
    private Optional<Content> lookAt(Path file) throws IOException {
        try {
            boolean inUse = (int) Files.getAttribute(file, LINK_COUNT) > 1;
            return Optional.of(new Content(file, Files.size(file), inUse, lastUsed(file)));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private FileTime lastUsed(Path content) throws IOException {
        Path use = uses.resolve(content.getFileName());
        return Files.exists(use) ? Files.getLastModifiedTime(use) : Files.getLastModifiedTime(content);
    }
}
