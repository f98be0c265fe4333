package io.llamafu.flink.artifact;

import com.sun.security.auth.module.UnixSystem;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Set;

/**
 * Folders and files in a cache, which only its user may change. New ones are private whatever the umask is. One that
 * exists is ours if it belongs to the user of this process, is no link, and not everybody may write to it.
 */
final class OwnFiles {
    /** Of a new folder. */
    static final FileAttribute<Set<PosixFilePermission>> FOLDER =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    /** Of a new file. */
    static final FileAttribute<Set<PosixFilePermission>> FILE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    private static final int US = (int) new UnixSystem().getUid();
    private static final int STICKY = 01000;
    private static final int OTHERS_WRITE = 0002;

    private OwnFiles() {}

    /** The attributes of a path, without following links. */
    record Attributes(int owner, int mode, boolean isFolder, boolean isFile, boolean isLink) {
        static Attributes of(Path path) throws IOException {
            Map<String, Object> attributes = Files.readAttributes(
                    path, "unix:uid,mode,isDirectory,isRegularFile,isSymbolicLink", LinkOption.NOFOLLOW_LINKS);
            return new Attributes(
                    (int) attributes.get("uid"),
                    (int) attributes.get("mode"),
                    (boolean) attributes.get("isDirectory"),
                    (boolean) attributes.get("isRegularFile"),
                    (boolean) attributes.get("isSymbolicLink"));
        }

        boolean isPrivateFolderOf(int user) {
            return isFolder && owner == user && (mode & 0077) == 0;
        }

        /** In a sticky folder such as {@code /tmp}, users can replace only their own files. */
        boolean letsOthersReplace() {
            return mayOthersWrite() && (mode & STICKY) == 0;
        }

        boolean mayOthersWrite() {
            return !isLink && (mode & OTHERS_WRITE) != 0;
        }
    }

    /**
     * A folder, created with those above it if it is missing.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if it exists and is not ours: what is in it cannot be
     *     trusted
     */
    static Path folder(Path path) throws IOException {
        if (Files.notExists(path, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectories(path, FOLDER);
        }
        Attributes attributes = Attributes.of(path);
        if (attributes.isLink()) {
            throw notOurs(path, "is a link");
        }
        if (!attributes.isFolder()) {
            throw notOurs(path, "is no folder");
        }
        if (attributes.owner() != US) {
            throw notOurs(path, "belongs to another user");
        }
        if (attributes.mayOthersWrite()) {
            throw notOurs(path, "may be written to by everybody");
        }
        return path;
    }

    private static LlamafuException notOurs(Path folder, String why) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "'%s' in cache.dir %s, so that somebody else could have put a model there; delete it, then it is created again and its files are fetched again."
                        .formatted(folder, why));
    }

    /**
     * Whether only its user could have written a file.
     *
     * @throws NoSuchFileException if there is none
     */
    static boolean isOurs(Path file) throws IOException {
        Attributes attributes = Attributes.of(file);
        return attributes.isFile() && !attributes.mayOthersWrite() && attributes.owner() == US;
    }

    /** Opens a file to write to it, created if it is missing, or if the one that is there is not ours. */
    static FileChannel open(Path file) throws IOException {
        try {
            if (!isOurs(file)) {
                Files.deleteIfExists(file);
            }
        } catch (NoSuchFileException e) {
            // Created below.
        }
        return FileChannel.open(file, Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE), FILE);
    }
}
