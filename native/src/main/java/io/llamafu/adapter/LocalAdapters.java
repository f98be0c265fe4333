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
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * Adapters on this machine: every regular file {@code NAME.gguf} of a folder, single files, or both. Names contain no
 * separator, and links that leave the folder are rejected. An adapter's {@link AdapterCard} is {@code NAME.json} beside
 * it. If {@code NAME.gguf} is a symbolic link to a file of that name in another folder, and there is no card beside the
 * link, the card beside the target is used.
 *
 * <p>An adapter is published by writing it under another name and renaming it, so readers see either the old version or
 * the new one. A file that is overwritten in place is not used until it has been unchanged for half a second; until
 * then the previous version is valid. The same applies to cards.
 *
 * @param folder a directory of {@code NAME.gguf} files
 * @param files additional adapters by name; a name must not be in the folder as well. One that appears there later is
 *     ignored
 */
public record LocalAdapters(Optional<Path> folder, Map<String, Path> files)
        implements AdapterSource, AdapterSource.Session {
    private static final String SUFFIX = ".gguf";
    private static final String CARD_SUFFIX = ".json";
    private static final int ATTEMPTS = 5;
    /** How long a file that is overwritten in place must have been unchanged. */
    private static final Duration SETTLE_TIME = Duration.ofMillis(500);
    /** How far the clock of a file system may be ahead of this machine's. */
    private static final Duration MOST_CLOCK_DIFFERENCE = Duration.ofMinutes(1);

    public LocalAdapters {
        requireNonNull(folder, "folder is null");
        files = Map.copyOf(files);
    }

    /** The adapters of a folder. */
    public static LocalAdapters of(Path folder) {
        return new LocalAdapters(Optional.of(folder), Map.of());
    }

    /**
     * A regular file.
     *
     * @param path with links resolved
     */
    private record Located(Path path, AdapterFile.Stamp stamp) {
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

        /**
         * The same inode with other content was written in place, a moment ago. A time far in the future is
         * meaningless.
         */
        private boolean isUnsettledAfter(Located previous) {
            Instant now = Instant.now();
            Instant written = stamp.lastModified().toInstant();
            return previous.stamp.fileKey().equals(stamp.fileKey())
                    && now.isBefore(written.plus(SETTLE_TIME))
                    && now.plus(MOST_CLOCK_DIFFERENCE).isAfter(written);
        }
    }

    private record LocalVersion(String name, Located located, Optional<Located> locatedCard) implements Version {
        @Override
        public long byteSize() {
            return located.stamp().byteSize();
        }

        /** Under another path it is the same file if the file system has file keys. */
        @Override
        public Object content() {
            return located.stamp().fileKey().isEmpty() ? located : located.stamp();
        }

        @Override
        public Optional<Path> file() {
            return Optional.of(located.path());
        }

        @Override
        public Optional<Path> card() {
            return locatedCard.map(Located::path);
        }

        private boolean isStillAfter(LocalVersion earlier) {
            boolean fileHolds = located.equals(earlier.located) || located.isUnsettledAfter(earlier.located);
            boolean cardHolds = locatedCard.equals(earlier.locatedCard)
                    || (locatedCard.isPresent()
                            && earlier.locatedCard.isPresent()
                            && locatedCard.get().isUnsettledAfter(earlier.locatedCard.get()));
            return fileHolds && cardHolds;
        }
    }

    /** Nothing has to be opened, so the session is the source itself. */
    @Override
    public Session open() {
        folder.ifPresent(LocalAdapters::requireFolder);
        files.forEach(this::checkNamed);
        return this;
    }

    private static void requireFolder(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters is '%s', which is not a folder on this machine; name the folder that holds NAME.gguf files."
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

    @Override
    public CompletableFuture<Optional<Version>> find(String name) {
        try {
            return CompletableFuture.completedFuture(Optional.of(locate(name)));
        } catch (NoSuchFileException e) {
            return CompletableFuture.completedFuture(Optional.empty());
        } catch (IOException e) {
            return CompletableFuture.failedFuture(new LlamafuException(
                    ErrorCode.ADAPTER_INVALID,
                    "The adapter '%s' in %s cannot be read: %s.".formatted(name, this, e.getMessage()),
                    e));
        } catch (LlamafuException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private LocalVersion locate(String name) throws IOException {
        NoSuchFileException missing = null;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            try {
                return locateOnce(name);
            } catch (NoSuchFileException e) {
                // A link that was redirected while it was followed does not mean that the file is missing.
                missing = e;
            }
        }
        throw missing;
    }

    private LocalVersion locateOnce(String name) throws IOException {
        Path named = files.get(name);
        Path file = named == null ? withinFolder(name, name + SUFFIX) : named.toRealPath();
        Optional<Located> card = findCard(name);
        return new LocalVersion(name, Located.of(file, name), card.isPresent() ? card : findCardOfLink(name, file));
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

    /** Redirecting such a link changes adapter and card at once. */
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

    /** Where the card of an adapter file is. */
    static Path besides(Path file) {
        return file.resolveSibling(stem(file) + CARD_SUFFIX);
    }

    /** The name of an adapter file without its suffix. */
    static String stem(Path file) {
        String name = String.valueOf(file.getFileName());
        return name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name;
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

    /** Local files stay in place. */
    @Override
    public CompletableFuture<Pinned> pin(Version version) {
        return CompletableFuture.completedFuture(
                new Pinned(version, version.file().orElseThrow(), version.card(), Optional.empty(), "", () -> {}));
    }

    @Override
    public boolean holds(Version earlier, Version found) {
        return ((LocalVersion) found).isStillAfter((LocalVersion) earlier);
    }

    @Override
    public boolean isBeingOverwritten(Version version) {
        Located known = ((LocalVersion) version).located();
        try {
            Located now = Located.of(known.path(), version.name());
            return !now.equals(known) && now.isUnsettledAfter(known);
        } catch (IOException | LlamafuException e) {
            return false;
        }
    }

    @Override
    public List<String> names() {
        TreeSet<String> names = new TreeSet<>(files.keySet());
        folder.ifPresent(path -> names.addAll(namesIn(path)));
        return List.copyOf(names);
    }

    /** Fails like {@link #open}: of a folder that is missing, every name would be unknown. */
    @Override
    public Predicate<String> lookUps() {
        open().close();
        return this::contains;
    }

    /** Whether there is a file of this name, usable or not. */
    public boolean contains(String name) {
        try {
            return AdapterName.isValid(name) && locate(name) != null;
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

    @Override
    public void close() {}

    /** For messages; empty if there can be none. */
    @Override
    public String toString() {
        String inFolder = folder.map(path -> "'" + path + "'").orElse("");
        return Stream.of(inFolder, files.isEmpty() ? "" : "adapters.files")
                .filter(part -> !part.isEmpty())
                .collect(Collectors.joining(" and "));
    }
}
