package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterSource.Version;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The locations of remote adapters: every {@code NAME.gguf} of a folder, single files, or both.
 *
 * @param folder listed in one call
 * @param files by name; each is looked up separately, because its folder may be large, or not ours to list
 */
record RemoteFiles(Optional<URI> folder, SortedMap<String, URI> files) {
    static final String SUFFIX = ".gguf";
    static final String CARD_SUFFIX = ".json";

    /** The files of an adapter at one moment. */
    record RemoteVersion(String name, RemoteFile adapter, Optional<RemoteFile> remoteCard) implements Version {
        @Override
        public long byteSize() {
            return adapter.byteSize();
        }

        @Override
        public Object content() {
            return adapter;
        }

        @Override
        public Optional<Path> file() {
            return Optional.empty();
        }

        @Override
        public Optional<Path> card() {
            return Optional.empty();
        }

        boolean isSameAs(RemoteVersion other) {
            return adapter.isSameVersionAs(other.adapter)
                    && remoteCard.isPresent() == other.remoteCard.isPresent()
                    && remoteCard.stream().allMatch(file -> file.isSameVersionAs(other.remoteCard.get()));
        }
    }

    RemoteFiles {
        checkNotNull(folder, "folder is null");
        files = new TreeMap<>(files);
    }

    boolean isEmpty() {
        return folder.isEmpty() && files.isEmpty();
    }

    /**
     * The existing adapters by name.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if there is no such folder or file system, or a
     *     name stands for two files, and {@link ErrorCode#ARTIFACT_UNAVAILABLE} if they cannot be read
     */
    Map<String, RemoteVersion> list() {
        Map<String, RemoteVersion> versions = new HashMap<>();
        folder.ifPresent(uri -> versions.putAll(versions(listed(uri, ErrorCode.INVALID_OPTION))));
        files.forEach((name, uri) -> {
            if (versions.containsKey(name)) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "The adapter '%s' is '%s' in adapters.files, and '%s' in the folder; take one of them away."
                                .formatted(
                                        name, uri, versions.get(name).adapter().uri()));
            }
        });
        versions.putAll(named());
        return versions;
    }

    /**
     * Like {@link #list}, for later listings: a missing folder is empty, because a folder of an object store disappears
     * with its last file.
     */
    Map<String, RemoteVersion> listAgain() {
        Map<String, RemoteVersion> versions = new HashMap<>();
        folder.ifPresent(uri -> versions.putAll(versions(listedAgain(uri))));
        versions.putAll(named());
        return versions;
    }

    private static List<RemoteFile> listed(URI uri, ErrorCode missing) {
        try {
            return RemoteFile.list(uri);
        } catch (IOException e) {
            throw ArtifactErrors.coded("adapters", uri, missing, e);
        }
    }

    private static List<RemoteFile> listedAgain(URI uri) {
        try {
            return listed(uri, ErrorCode.ADAPTER_NOT_FOUND);
        } catch (LlamafuException e) {
            if (e.code() == ErrorCode.ADAPTER_NOT_FOUND) {
                return List.of();
            }
            throw e;
        }
    }

    private static Map<String, RemoteVersion> versions(List<RemoteFile> files) {
        Map<String, RemoteFile> byName = new HashMap<>();
        files.forEach(file -> byName.put(file.name(), file));
        Map<String, RemoteVersion> versions = new HashMap<>();
        byName.forEach((fileName, file) -> {
            if (fileName.endsWith(SUFFIX)) {
                String name = fileName.substring(0, fileName.length() - SUFFIX.length());
                if (AdapterName.isValid(name)) {
                    versions.put(
                            name, new RemoteVersion(name, file, Optional.ofNullable(byName.get(name + CARD_SUFFIX))));
                }
            }
        });
        return versions;
    }

    private Map<String, RemoteVersion> named() {
        Map<String, RemoteVersion> versions = new HashMap<>();
        files.forEach((name, uri) -> fileOf(name)
                .ifPresent(file -> versions.put(
                        name, new RemoteVersion(name, file, file("The card of '" + name + "'", cardOf(uri))))));
        return versions;
    }

    /** The file of this name in adapters.files, if it exists. Asks for its status. */
    Optional<RemoteFile> fileOf(String name) {
        return Optional.ofNullable(files.get(name)).flatMap(uri -> file("adapters.files." + name, uri));
    }

    /** The file of this name in the folder, if it exists. Asks for its status without listing the folder. */
    Optional<RemoteFile> fileInFolder(String name) {
        return folder.flatMap(uri -> file("The adapter '" + name + "'", child(uri, name + SUFFIX)));
    }

    private static Optional<RemoteFile> file(String what, URI uri) {
        try {
            return Optional.of(RemoteFile.at(uri));
        } catch (FileNotFoundException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw ArtifactErrors.coded(what, uri, ErrorCode.ADAPTER_NOT_FOUND, e);
        }
    }

    /** The current version of an adapter whose file is known. */
    static RemoteVersion present(String name, URI adapter) throws IOException {
        RemoteFile file = RemoteFile.at(adapter);
        try {
            return new RemoteVersion(name, file, Optional.of(RemoteFile.at(cardOf(adapter))));
        } catch (FileNotFoundException e) {
            return new RemoteVersion(name, file, Optional.empty());
        }
    }

    /** The adapters by store, because a store that cannot be reached does not affect the others. */
    List<RemoteFiles> byStore() {
        Map<String, SortedMap<String, URI>> filesByStore = new TreeMap<>();
        folder.ifPresent(uri -> filesByStore.put(storeOf(uri), new TreeMap<>()));
        files.forEach((name, uri) -> filesByStore
                .computeIfAbsent(storeOf(uri), store -> new TreeMap<>())
                .put(name, uri));
        List<RemoteFiles> parts = new ArrayList<>();
        filesByStore.forEach((store, some) ->
                parts.add(new RemoteFiles(folder.filter(uri -> storeOf(uri).equals(store)), some)));
        return parts;
    }

    private static String storeOf(URI uri) {
        return uri.getScheme() + "://" + uri.getAuthority();
    }

    private static URI cardOf(URI adapter) {
        org.apache.flink.core.fs.Path path = new org.apache.flink.core.fs.Path(adapter);
        String name = path.getName();
        String stem = name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name;
        return child(path.getParent().toUri(), stem + CARD_SUFFIX);
    }

    private static URI child(URI folder, String name) {
        return new org.apache.flink.core.fs.Path(new org.apache.flink.core.fs.Path(folder), name).toUri();
    }

    /** For messages. */
    String described() {
        List<String> parts = new ArrayList<>();
        folder.ifPresent(uri -> parts.add("'" + uri + "'"));
        if (!files.isEmpty()) {
            parts.add("adapters.files");
        }
        return String.join(" and ", parts);
    }
}
