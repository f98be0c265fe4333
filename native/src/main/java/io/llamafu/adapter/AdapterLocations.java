package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;

import static java.util.Objects.requireNonNull;

/**
 * Where the files of adapters are: every {@code NAME.gguf} of a folder, files that are named one by one, or both. A name
 * can reach nothing else: it holds no separator, and a link that leads out of the folder is refused.
 */
final class AdapterLocations {
    private static final String SUFFIX = ".gguf";
    private static final String CARD_SUFFIX = ".json";
    private static final int ATTEMPTS = 5;

    private final Optional<Path> folder;
    private final Map<String, Path> files;

    /**
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder is none, a name breaks the rule of
     *     {@link AdapterName}, or a name stands for a file of both
     */
    AdapterLocations(Optional<Path> folder, Map<String, Path> files) {
        this.folder = requireNonNull(folder, "folder is null");
        this.files = Map.copyOf(files);
        folder.ifPresent(AdapterLocations::requireFolder);
        this.files.forEach(this::checkNamed);
    }

    private static void requireFolder(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters is '%s', which is no folder on this machine; name the folder that holds NAME.gguf files."
                            .formatted(folder));
        }
    }

    private void checkNamed(String name, Path file) {
        AdapterName.checkOption(name, file);
        Optional<Path> other = folder.map(path -> path.resolve(name + SUFFIX)).filter(Files::exists);
        if (other.isPresent()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "The adapter '%s' is '%s' in adapters.files, and '%s' in the folder; take one of them away."
                            .formatted(name, file, other.get()));
        }
    }

    /**
     * A regular file.
     *
     * @param path links resolved
     */
    record Located(Path path, AdapterFile.Stamp stamp) {
        private static Located of(Path path, String name) throws IOException {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            if (!attributes.isRegularFile()) {
                throw new LlamafuException(
                        ErrorCode.ADAPTER_INVALID,
                        "'%s' of the adapter '%s' is no regular file; put the file itself there."
                                .formatted(path, name));
            }
            return new Located(path, AdapterFile.Stamp.of(attributes));
        }
    }

    /** What the file system has of a name. */
    record Found(Located file, Optional<Located> card) {}

    /**
     * Looks a name up.
     *
     * @throws NoSuchFileException if there is no such file
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if the file or its card is no regular file, or leads
     *     out of the folder
     */
    Found find(String name) throws IOException {
        NoSuchFileException missing = null;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            try {
                return findOnce(name);
            } catch (NoSuchFileException e) {
                // A link that was led to another folder while it was followed is no missing file.
                missing = e;
            }
        }
        throw missing;
    }

    private Found findOnce(String name) throws IOException {
        Path named = files.get(name);
        Path file = named == null ? withinFolder(name, name + SUFFIX) : named.toRealPath();
        Optional<Located> card = findCard(name);
        return new Found(Located.of(file, name), card.isPresent() ? card : findCardOfLink(name, file));
    }

    private Optional<Located> findCard(String name) throws IOException {
        try {
            Path named = files.get(name);
            Path card = named == null
                    ? withinFolder(name, name + CARD_SUFFIX)
                    : besides(named).toRealPath();
            return Optional.of(Located.of(card, name));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    /**
     * Where the adapter is a link to a file of its name in another folder, the card there: who leads the link elsewhere
     * changes both at once.
     */
    private Optional<Located> findCardOfLink(String name, Path file) throws IOException {
        Path link = files.getOrDefault(
                name, folder.map(path -> path.resolve(name + SUFFIX)).orElse(file));
        if (!Files.isSymbolicLink(link) || !file.getFileName().equals(link.getFileName())) {
            return Optional.empty();
        }
        Path card = besides(file);
        return Files.isRegularFile(card, LinkOption.NOFOLLOW_LINKS)
                ? Optional.of(Located.of(card, name))
                : Optional.empty();
    }

    private static Path besides(Path file) {
        String name = file.getFileName().toString();
        String stem = name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name;
        return file.resolveSibling(stem + CARD_SUFFIX);
    }

    private Path withinFolder(String name, String fileName) throws IOException {
        if (folder.isEmpty()) {
            throw new NoSuchFileException(fileName);
        }
        Path path = folder.get().resolve(fileName).toRealPath();
        if (!path.startsWith(folder.get().toRealPath())) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_INVALID,
                    "The file %s of the adapter '%s' in %s is a link that leads out of the folder; copy the file into it."
                            .formatted(fileName, name, this));
        }
        return path;
    }

    /**
     * All names, in order. Reads the folder, and no file.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if the folder cannot be read
     */
    List<String> names() {
        TreeSet<String> names = new TreeSet<>(files.keySet());
        folder.ifPresent(path -> names.addAll(namesIn(path)));
        return List.copyOf(names);
    }

    /** Whether there is a regular file for a name; reads none. */
    boolean contains(String name) {
        try {
            return AdapterName.isValid(name) && find(name).file() != null;
        } catch (IOException | LlamafuException e) {
            return false;
        }
    }

    private static List<String> namesIn(Path folder) {
        TreeSet<String> names = new TreeSet<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
            Path realFolder = folder.toRealPath();
            for (Path file : entries) {
                String fileName = file.getFileName().toString();
                String name = fileName.substring(0, fileName.length() - SUFFIX.length());
                if (AdapterName.isValid(name) && Files.isRegularFile(file) && isWithin(realFolder, file)) {
                    names.add(name);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            throw new LlamafuException(
                    ErrorCode.ADAPTER_NOT_FOUND,
                    "The adapter folder '%s' cannot be read: %s.".formatted(folder, e.getMessage()),
                    e);
        }
        return List.copyOf(names);
    }

    private static boolean isWithin(Path realFolder, Path file) {
        try {
            return file.toRealPath().startsWith(realFolder);
        } catch (IOException e) {
            // Removed since it was listed.
            return false;
        }
    }

    boolean isEmpty() {
        return folder.isEmpty() && files.isEmpty();
    }

    /** As messages name them. */
    @Override
    public String toString() {
        String inFolder = folder.map(path -> "'" + path + "'").orElse("");
        String named = files.isEmpty() ? "" : "adapters.files";
        return List.of(inFolder, named).stream().filter(part -> !part.isEmpty()).collect(Collectors.joining(" and "));
    }
}
