package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.CacheContents.Content;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The bytes of a cache: counts them, reserves room, and evicts idle contents, the least recently used first. If that
 * would not be enough, it evicts nothing. Used under the lock of the cache.
 */
final class CacheRoom {
    private final Path sessions;
    private final Path partial;
    private final CacheContents contents;
    private final CacheSession session;
    private final long maxBytes;

    private record Dated<T>(T value, FileTime lastUsed) {}

    /**
     * The room of a cache.
     *
     * @param sessions has the folders of all sessions, which reserve room
     * @param partial has the files of running and interrupted fetches
     * @param session the session of this process
     * @param maxBytes the most bytes of all files; 0 is no limit
     */
    CacheRoom(Path sessions, Path partial, CacheContents contents, CacheSession session, long maxBytes) {
        this.sessions = sessions;
        this.partial = partial;
        this.contents = contents;
        this.session = session;
        this.maxBytes = maxBytes;
    }

    /**
     * Reserves room for a file under a name; a partial file of that name is then not counted in addition.
     *
     * @throws LlamafuException with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if there is no room
     */
    Path reserve(RemoteFile file, String name) throws IOException {
        Path reservation = session.temporary(name);
        requireRoom(file, name);
        OwnFiles.open(reservation).close();
        // A sparse file, which takes no room itself.
        try (RandomAccessFile reserved = new RandomAccessFile(reservation.toFile(), "rw")) {
            reserved.setLength(file.byteSize());
        }
        return reservation;
    }

    private void requireRoom(RemoteFile file, String name) throws IOException {
        if (maxBytes == 0) {
            return;
        }
        if (file.byteSize() > maxBytes) {
            throw noRoom("'%s' has %d bytes, but cache.max-size is %d; raise it."
                    .formatted(file.uri(), file.byteSize(), maxBytes));
        }
        long used = usedBytes(name);
        while (used + file.byteSize() > maxBytes) {
            if (!free(used + file.byteSize() - maxBytes, name)) {
                throw noRoom("'%s' has %d bytes, but cache.max-size is %d and %d of it are in use; raise it."
                        .formatted(file.uri(), file.byteSize(), maxBytes, usedBytes(name) - idleBytes(name)));
            }
            used = usedBytes(name);
        }
    }

    private static LlamafuException noRoom(String message) {
        return new LlamafuException(ErrorCode.ARTIFACT_UNAVAILABLE, message);
    }

    /** Without what a new reservation of that name would count. */
    private long usedBytes(String name) throws IOException {
        Map<String, Long> reserved = reservations();
        long bytes = contents.list().stream().mapToLong(Content::bytes).sum();
        for (long each : reserved.values()) {
            bytes += each;
        }
        for (Path interrupted : interrupted(reserved.keySet(), name)) {
            bytes += sizeOf(interrupted);
        }
        return bytes;
    }

    private long idleBytes(String name) throws IOException {
        long bytes = contents.list().stream()
                .filter(Content::isIdle)
                .mapToLong(Content::bytes)
                .sum();
        for (Path interrupted : interrupted(reservations().keySet(), name)) {
            bytes += sizeOf(interrupted);
        }
        return bytes;
    }

    private Map<String, Long> reservations() throws IOException {
        Map<String, Long> reserved = new HashMap<>();
        for (Path other : filesOf(sessions)) {
            for (Path reservation : filesOf(CacheSession.temporaryFolder(other))) {
                reserved.merge(reservation.getFileName().toString(), sizeOf(reservation), Long::sum);
            }
        }
        return reserved;
    }

    /** The partial files of interrupted fetches. */
    private List<Path> interrupted(Set<String> reserved, String ours) throws IOException {
        Set<String> fetched = new HashSet<>(reserved);
        fetched.add(ours);
        return filesOf(partial).stream()
                .filter(file -> !fetched.contains(PartialFile.nameOf(file)))
                .toList();
    }

    private static List<Path> filesOf(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        } catch (NoSuchFileException e) {
            return List.of();
        }
    }

    private static long sizeOf(Path file) throws IOException {
        try {
            return Files.size(file);
        } catch (NoSuchFileException e) {
            return 0;
        }
    }

    /**
     * Frees at least so many bytes, if idle contents have as many; otherwise frees none.
     *
     * @param fetching the name of the file that needs the room
     * @return whether it freed them
     */
    boolean free(long bytes, String fetching) throws IOException {
        List<Path> interrupted = interrupted(reservations().keySet(), fetching);
        List<Content> all = contents.list();
        long available = 0;
        for (Path file : interrupted) {
            available += sizeOf(file);
        }
        available +=
                all.stream().filter(Content::isIdle).mapToLong(Content::bytes).sum();
        if (available < bytes) {
            return false;
        }
        long freed = freeInterrupted(bytes, interrupted);
        freed += freeContents(bytes - freed, all);
        return freed >= bytes;
    }

    private static long freeInterrupted(long bytes, List<Path> interrupted) throws IOException {
        long freed = 0;
        for (Path file : interrupted) {
            if (freed >= bytes) {
                break;
            }
            freed += sizeOf(file);
            Files.deleteIfExists(file);
        }
        return freed;
    }

    private long freeContents(long bytes, List<Content> all) throws IOException {
        List<Dated<Content>> idle = new ArrayList<>();
        if (bytes > 0) {
            for (Content content : all) {
                if (content.isIdle()) {
                    idle.add(new Dated<>(content, contents.lastUsed(content)));
                }
            }
        }
        idle.sort(Comparator.comparing(Dated::lastUsed));
        long freed = 0;
        for (Dated<Content> content : idle) {
            if (freed >= bytes) {
                break;
            }
            freed += contents.evict(content.value().digest(), session::temporary);
        }
        return freed;
    }
}
