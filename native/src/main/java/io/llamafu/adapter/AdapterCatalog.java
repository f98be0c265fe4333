package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

import static java.util.Objects.requireNonNull;

/**
 * The adapters of a folder: every regular file {@code NAME.gguf} is the adapter NAME. Other files are ignored. A name can
 * reach nothing outside the folder: it holds no separator, and a link that leads out is refused.
 *
 * <p>An adapter is published by writing it under another name and renaming it to {@code NAME.gguf}; then readers see the
 * old version or the new one, never a part. A file that is overwritten in place is left alone until it has been still for
 * the settle time: until then the version before it stands. What is never seen half-written is the rename.
 *
 * <p>Thread-safe. A digest is computed once for each version, however many threads ask, and blocks only those who ask for
 * that name.
 */
public final class AdapterCatalog {
    /** How long a version that was looked up is believed without asking the file system. */
    public static final Duration DEFAULT_REFRESH_INTERVAL = Duration.ofSeconds(1);
    /** How long a file that is overwritten in place must have been still. */
    public static final Duration DEFAULT_SETTLE_TIME = Duration.ofMillis(500);

    private static final String SUFFIX = ".gguf";
    private static final int MOST_NAMES_IN_MESSAGE = 10;
    private static final int DIGEST_ATTEMPTS = 3;

    private final Path folder;
    private final Duration refreshInterval;
    private final Duration settleTime;
    private final InstantSource clock;
    private final ConcurrentMap<String, Entry> entries = new ConcurrentHashMap<>();

    private record KnownNames(List<String> names, Instant read) {}

    private volatile KnownNames lastKnown;

    /** A name and its last known version. Its lock is held while a digest is computed. */
    private static final class Entry {
        private volatile Optional<Checked> last = Optional.empty();
    }

    private record Checked(AdapterFile file, Instant when) {}

    /** The catalog of a folder with the default intervals. */
    public AdapterCatalog(Path folder) {
        this(folder, DEFAULT_REFRESH_INTERVAL, DEFAULT_SETTLE_TIME, InstantSource.system());
    }

    /**
     * @param folder a directory
     * @param refreshInterval how long a version is believed; 0 asks the file system for every {@link #resolve}
     * @param settleTime how long a file that is overwritten in place must have been still; 0 takes it at once
     * @param clock the time, in step with the file system's
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder is none or an interval is negative
     */
    public AdapterCatalog(Path folder, Duration refreshInterval, Duration settleTime, InstantSource clock) {
        this.folder = requireNonNull(folder, "folder is null");
        this.refreshInterval = requireNonNull(refreshInterval, "refreshInterval is null");
        this.settleTime = requireNonNull(settleTime, "settleTime is null");
        this.clock = requireNonNull(clock, "clock is null");
        if (!Files.isDirectory(folder)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters is '%s', which is no folder on this machine; name the folder that holds NAME.gguf files."
                            .formatted(folder));
        }
        if (refreshInterval.isNegative() || settleTime.isNegative()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters.refresh-interval is %s and the settle time %s, but neither may be negative."
                            .formatted(refreshInterval, settleTime));
        }
    }

    public Path folder() {
        return folder;
    }

    /**
     * The version of an adapter that now answers to a name.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if the name breaks the rule of {@link AdapterName},
     *     {@link ErrorCode#ADAPTER_NOT_FOUND} if there is no such file, and {@link ErrorCode#ADAPTER_INVALID} if it is no
     *     regular file, leads out of the folder, or is still being written
     */
    public AdapterFile resolve(String name) {
        AdapterName.check(requireNonNull(name, "name is null"));
        Entry entry = entries.computeIfAbsent(name, key -> new Entry());
        synchronized (entry) {
            Instant now = clock.instant();
            if (isFresh(entry.last, now)) {
                return entry.last.get().file();
            }
            try {
                AdapterFile file = refresh(name, entry.last.map(Checked::file), now);
                entry.last = Optional.of(new Checked(file, now));
                return file;
            } catch (LlamafuException e) {
                // A name from a record may be anything: what is not there takes no memory.
                entry.last = Optional.empty();
                entries.remove(name, entry);
                throw e;
            }
        }
    }

    /** The version that {@link #resolve} would return without asking the file system; never waits. */
    public Optional<AdapterFile> known(String name) {
        Entry entry = entries.get(requireNonNull(name, "name is null"));
        if (entry == null) {
            return Optional.empty();
        }
        Optional<Checked> last = entry.last;
        return isFresh(last, clock.instant()) ? last.map(Checked::file) : Optional.empty();
    }

    private boolean isFresh(Optional<Checked> last, Instant now) {
        return last.isPresent() && now.isBefore(last.get().when().plus(refreshInterval));
    }

    private AdapterFile refresh(String name, Optional<AdapterFile> previous, Instant now) {
        Path path = realPath(name);
        try {
            for (int attempt = 0; attempt < DIGEST_ATTEMPTS; attempt++) {
                AdapterFile.Stamp stamp = stamp(name, path);
                if (previous.isPresent()
                        && (isSame(previous.get(), path, stamp) || isUnsettled(previous.get(), stamp, now))) {
                    return previous.get();
                }
                String digest = AdapterDigest.of(path);
                if (stamp(name, path).equals(stamp)) {
                    return new AdapterFile(name, path, digest, stamp);
                }
            }
        } catch (NoSuchFileException e) {
            throw notFound(name, e);
        } catch (IOException e) {
            throw invalid(name, "cannot be read: %s.".formatted(e.getMessage()), e);
        }
        throw invalid(name, "changes while it is read; publish adapters by renaming a complete file.", null);
    }

    private static boolean isSame(AdapterFile previous, Path path, AdapterFile.Stamp stamp) {
        return previous.path().equals(path) && previous.stamp().equals(stamp);
    }

    /** The same inode with other content was written in place, and the writer may not be done. */
    private boolean isUnsettled(AdapterFile previous, AdapterFile.Stamp stamp, Instant now) {
        return previous.stamp().fileKey().equals(stamp.fileKey())
                && now.isBefore(stamp.lastModified().toInstant().plus(settleTime));
    }

    private AdapterFile.Stamp stamp(String name, Path path) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
        if (!attributes.isRegularFile()) {
            throw invalid(name, "is no regular file; put the GGUF file itself into the folder.", null);
        }
        return AdapterFile.Stamp.of(attributes);
    }

    private Path realPath(String name) {
        try {
            Path path = folder.resolve(name + SUFFIX).toRealPath();
            if (!path.startsWith(folder.toRealPath())) {
                throw invalid(name, "is a link that leads out of the folder; copy the file into it.", null);
            }
            return path;
        } catch (NoSuchFileException e) {
            throw notFound(name, e);
        } catch (IOException e) {
            throw invalid(name, "cannot be opened: %s.".formatted(e.getMessage()), e);
        }
    }

    /** Whether there is a file for a name. Asks the file system, and reads no file: {@link #resolve} may still refuse it. */
    public boolean contains(String name) {
        if (!AdapterName.isValid(requireNonNull(name, "name is null"))) {
            return false;
        }
        Path file = folder.resolve(name + SUFFIX);
        try {
            return Files.isRegularFile(file) && isWithin(folder.toRealPath(), file);
        } catch (IOException e) {
            // The folder was removed.
            return false;
        }
    }

    /**
     * The names of all adapters, in order. Reads the folder, and no file.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if the folder cannot be read
     */
    public List<String> names() {
        TreeSet<String> names = new TreeSet<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
            Path realFolder = folder.toRealPath();
            for (Path file : files) {
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

    private LlamafuException notFound(String name, Throwable cause) {
        return new LlamafuException(
                ErrorCode.ADAPTER_NOT_FOUND,
                "There is no adapter '%s' in '%s'; %s.".formatted(name, folder, knownNames()),
                cause);
    }

    /** For a message; looked up once an interval, so that a stream of unknown names does not read the folder each time. */
    private String knownNames() {
        KnownNames known = lastKnown;
        Instant now = clock.instant();
        if (known == null || !now.isBefore(known.read().plus(refreshInterval))) {
            known = new KnownNames(names(), now);
            lastKnown = known;
        }
        List<String> names = known.names();
        if (names.isEmpty()) {
            return "the folder holds no NAME.gguf file";
        }
        String first = String.join(", ", names.subList(0, Math.min(MOST_NAMES_IN_MESSAGE, names.size())));
        int more = names.size() - MOST_NAMES_IN_MESSAGE;
        return "it has " + first + (more > 0 ? " and %d more".formatted(more) : "");
    }

    private LlamafuException invalid(String name, String problem, Throwable cause) {
        return new LlamafuException(
                ErrorCode.ADAPTER_INVALID, "The adapter '%s' in '%s' %s".formatted(name, folder, problem), cause);
    }
}
