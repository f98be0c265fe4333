package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.artifact.OwnFiles.Attributes;
import org.apache.flink.annotation.Internal;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.TreeSet;
import java.util.function.IntPredicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The folder of a cache. Its files are loaded as models, so only this user and root may be able to replace files or
 * folders in it.
 *
 * @param path the cache, or a folder for temporary files that is to contain it
 * @param chosen whether the user named the path as the cache
 */
@Internal
public record CacheFolder(Path path, boolean chosen) {
    private static final String NAME = "llamafu-cache";
    private static final int ROOT = 0;
    private static final int MOST_LINKS = 40;

    public CacheFolder {
        checkNotNull(path, "path is null");
        path = path.toAbsolutePath().normalize();
    }

    /** The folder of {@code cache.dir}. */
    public static CacheFolder at(Path path) {
        return new CacheFolder(path, true);
    }

    /**
     * The default: {@code llamafu-cache} in a folder for temporary files. If all users share that folder, the name has
     * a random suffix, because another user could take a predictable one. An existing folder of this user is used
     * again.
     */
    public static CacheFolder in(Path temporaryFolder) {
        return new CacheFolder(temporaryFolder, false);
    }

    /**
     * The folder with all links resolved, created if it is missing.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if it cannot be created, or other users could
     *     change its content
     */
    Path prepare() {
        if (chosen) {
            return prepare(path, false);
        }
        try {
            Files.createDirectories(path, OwnFiles.FOLDER);
            return prepare(isShared(path) ? ownFolder(path) : path.resolve(NAME), true);
        } catch (IOException e) {
            throw unusable(path.resolve(NAME), e);
        }
    }

    /** @param inFlinksFolder whether its owners are trusted by Flink, because they could replace its jars as well */
    static Path prepare(Path folder, boolean inFlinksFolder) {
        try {
            if (!Files.isDirectory(folder)) {
                Files.createDirectories(folder, OwnFiles.FOLDER);
            }
            requireOurs(folder, inFlinksFolder);
            return folder.toRealPath();
        } catch (IOException e) {
            throw unusable(folder, e);
        }
    }

    static LlamafuException unusable(Path folder, IOException failure) {
        return new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "cache.dir is '%s', which cannot be used (%s); name a folder on a local disk that Flink's user may write to, and nobody else."
                        .formatted(folder, failure.getMessage() == null ? failure : failure.getMessage()),
                failure);
    }

    private static boolean isShared(Path folder) throws IOException {
        return Attributes.of(folder.toRealPath()).mayOthersWrite();
    }

    /** In the order of names, so that two processes that create one at the same time agree the next time. */
    private static Path ownFolder(Path shared) throws IOException {
        Path created = Files.createTempDirectory(shared, NAME + "-", OwnFiles.FOLDER);
        int us = Attributes.of(created).owner();
        TreeSet<Path> ours = new TreeSet<>();
        try (DirectoryStream<Path> folders = Files.newDirectoryStream(shared, NAME + "*")) {
            for (Path folder : folders) {
                if (!folder.equals(created) && isPrivateFolderOf(us, folder)) {
                    ours.add(folder);
                }
            }
        }
        if (ours.isEmpty()) {
            return created;
        }
        Files.delete(created);
        return ours.first();
    }

    private static boolean isPrivateFolderOf(int user, Path folder) {
        try {
            return Attributes.of(folder).isPrivateFolderOf(user);
        } catch (IOException e) {
            return false;
        }
    }

    private static void requireOurs(Path folder, boolean inFlinksFolder) throws IOException {
        Path probe = Files.createTempDirectory(folder, ".owner-", OwnFiles.FOLDER);
        int us = Attributes.of(probe).owner();
        Files.delete(probe);
        IntPredicate trusted = owner -> inFlinksFolder || owner == us || owner == ROOT;
        requireNobodyElseCanReplace(folder.toAbsolutePath().normalize(), trusted, MOST_LINKS);
        requireNobodyElseCanReplace(folder.toRealPath(), trusted, 0);
        Attributes own = Attributes.of(folder.toRealPath());
        if (own.owner() != us) {
            throw new IOException("'" + folder + "' belongs to another user, who could replace a model");
        }
        if (own.mayOthersWrite()) {
            throw everybodyWrites(folder);
        }
    }

    /** Checks every folder on the path, and on the paths of links. */
    private static void requireNobodyElseCanReplace(Path folder, IntPredicate trusted, int mostLinks)
            throws IOException {
        Path way = folder.getRoot();
        for (Path name : folder) {
            way = way.resolve(name);
            Attributes attributes = Attributes.of(way);
            if (!trusted.test(attributes.owner())) {
                throw new IOException("'" + way + "' belongs to another user, who could replace a model");
            }
            if (attributes.letsOthersReplace()) {
                throw everybodyWrites(way);
            }
            if (attributes.isLink()) {
                if (mostLinks == 0) {
                    throw new IOException("'" + way + "' leads over too many links");
                }
                Path target = way.resolveSibling(Files.readSymbolicLink(way)).normalize();
                requireNobodyElseCanReplace(target, trusted, mostLinks - 1);
            }
        }
    }

    private static IOException everybodyWrites(Path folder) {
        return new IOException("everybody may write to '" + folder + "', and so replace a model");
    }
}
