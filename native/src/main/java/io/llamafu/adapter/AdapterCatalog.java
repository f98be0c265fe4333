package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterLocations.Found;
import io.llamafu.adapter.AdapterLocations.Located;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;

import static java.util.Objects.requireNonNull;

/**
 * The adapters that have a name: every regular file {@code NAME.gguf} of a folder, files that are named one by one, or
 * both. An adapter's {@link AdapterCard} is {@code NAME.json} beside it. Where {@code NAME.gguf} is a symbolic link to a
 * file of that name in another folder, and there is no card beside the link, it is the one beside the file.
 *
 * <p>An adapter is published by writing it under another name and renaming it; then readers see the old version or the
 * new one, never a part. A file that is overwritten in place is left alone until it has been still for the settle time:
 * until then the version before it stands. What is never seen half-written is the rename. The same holds for cards.
 *
 * <p>Thread-safe. A digest is computed once for each version, however many threads ask, and blocks only those who ask for
 * that name.
 */
public final class AdapterCatalog {
    /** How long a version that was looked up is believed without asking the file system. */
    public static final Duration DEFAULT_REFRESH_INTERVAL = Duration.ofSeconds(1);
    /** How long a file that is overwritten in place must have been still. */
    public static final Duration DEFAULT_SETTLE_TIME = Duration.ofMillis(500);

    /** By how much the clock of a file system may be ahead of this machine's. */
    private static final Duration MOST_CLOCK_DIFFERENCE = Duration.ofMinutes(1);

    /** So that times can be subtracted. */
    private static final Duration MOST_INTERVAL = Duration.ofDays(36_500);

    private static final int MOST_NAMES_IN_MESSAGE = 10;
    private static final int READ_ATTEMPTS = 10;

    private final AdapterLocations locations;
    private final long refreshNanos;
    private final Duration settleTime;
    /** Of the file system, whose times are compared with it; it can be set back. */
    private final InstantSource clock;

    private final LongSupplier nanoTime;
    private final ConcurrentMap<String, Entry> entries = new ConcurrentHashMap<>();

    private record KnownNames(List<String> names, long readNanos) {}

    private volatile KnownNames lastKnown;

    /** A name and its last known version. Its lock is held while a file is read. */
    private static final class Entry {
        private final ReentrantLock lock = new ReentrantLock();
        private volatile Optional<Checked> last = Optional.empty();

        private Optional<AdapterFile> file() {
            return last.map(Checked::file);
        }
    }

    private record Checked(AdapterFile file, Optional<AdapterFile.Stamp> cardStamp, long nanos) {
        private Checked at(long now) {
            return new Checked(file, cardStamp, now);
        }
    }

    /** The catalog of a folder with the default intervals. */
    public AdapterCatalog(Path folder) {
        this(Optional.of(folder), Map.of(), DEFAULT_REFRESH_INTERVAL);
    }

    /**
     * A catalog with the default settle time. Without a folder and files it knows no name.
     *
     * @param folder a directory of {@code NAME.gguf} files
     * @param files further adapters, by name; a name may not be in the folder too. One that appears there later is ignored
     * @param refreshInterval how long a version is believed; 0 asks the file system for every {@link #resolve}
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the folder is none, a name is malformed or stands
     *     for two files, or the interval is negative
     */
    public AdapterCatalog(Optional<Path> folder, Map<String, Path> files, Duration refreshInterval) {
        this(
                new AdapterLocations(folder, files),
                refreshInterval,
                DEFAULT_SETTLE_TIME,
                InstantSource.system(),
                System::nanoTime);
    }

    /**
     * @param settleTime how long a file that is overwritten in place must have been still; 0 takes it at once
     * @param clock the time, in step with the file system's
     * @param nanoTime the clock of {@link System#nanoTime}
     */
    AdapterCatalog(
            AdapterLocations locations,
            Duration refreshInterval,
            Duration settleTime,
            InstantSource clock,
            LongSupplier nanoTime) {
        this.locations = requireNonNull(locations, "locations is null");
        requireNonNull(refreshInterval, "refreshInterval is null");
        this.settleTime = requireNonNull(settleTime, "settleTime is null");
        this.clock = requireNonNull(clock, "clock is null");
        this.nanoTime = requireNonNull(nanoTime, "nanoTime is null");
        if (refreshInterval.isNegative()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters.refresh-interval is %s, but must be 0 or more.".formatted(refreshInterval));
        }
        this.refreshNanos =
                refreshInterval.compareTo(MOST_INTERVAL) < 0 ? refreshInterval.toNanos() : MOST_INTERVAL.toNanos();
    }

    /**
     * The version of an adapter that now answers to a name. May read its whole file.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if the name breaks the rule of {@link AdapterName},
     *     {@link ErrorCode#ADAPTER_NOT_FOUND} if there is no such file, and {@link ErrorCode#ADAPTER_INVALID} if it is no
     *     regular file, leads out of the folder, or is still being written, or if its card is malformed
     */
    public AdapterFile resolve(String name) {
        return resolve(name, () -> {});
    }

    /**
     * Like {@link #resolve(String)}, with pauses.
     *
     * @param betweenParts runs after each MiB of a file that is read
     */
    public AdapterFile resolve(String name, Runnable betweenParts) {
        Entry entry = entry(name);
        entry.lock.lock();
        try {
            long now = nanoTime.getAsLong();
            Optional<AdapterFile> fresh = fresh(entry, now);
            if (fresh.isPresent()) {
                return fresh.get();
            }
            Checked checked = refresh(name, entry.last, now, betweenParts);
            entry.last = Optional.of(checked);
            return checked.file();
        } catch (LlamafuException e) {
            forget(name, entry);
            throw e;
        } finally {
            entry.lock.unlock();
        }
    }

    /**
     * The version that {@link #resolve} would return, if the file system says that it still stands; empty if its file must
     * be read, or is being read by another thread. Waits for attributes of files, never for content.
     *
     * @throws LlamafuException like {@link #resolve}
     */
    public Optional<AdapterFile> standing(String name) {
        Entry entry = entry(name);
        if (!entry.lock.tryLock()) {
            return Optional.empty();
        }
        try {
            long now = nanoTime.getAsLong();
            Optional<AdapterFile> fresh = fresh(entry, now);
            if (fresh.isPresent()) {
                return fresh;
            }
            Optional<Checked> standing = standing(find(name), entry.last, now);
            if (standing.isPresent()) {
                entry.last = standing;
            }
            return standing.map(Checked::file);
        } catch (LlamafuException e) {
            forget(name, entry);
            throw e;
        } finally {
            entry.lock.unlock();
        }
    }

    /** The version that {@link #resolve} would return without asking the file system; never waits. */
    public Optional<AdapterFile> known(String name) {
        Entry entry = entries.get(requireNonNull(name, "name is null"));
        return entry == null ? Optional.empty() : fresh(entry, nanoTime.getAsLong());
    }

    /** The version that a name was last resolved to, however long ago; never waits. */
    public Optional<AdapterFile> lastKnown(String name) {
        Entry entry = entries.get(requireNonNull(name, "name is null"));
        return entry == null ? Optional.empty() : entry.file();
    }

    /** Asks the file system when the name of this version is looked up next. For one whose file turned out to have changed. */
    public void recheck(AdapterFile file) {
        Entry entry = entries.get(file.name());
        if (entry == null) {
            return;
        }
        entry.lock.lock();
        try {
            entry.last = entry.last.map(
                    last -> last.file().equals(file) ? last.at(nanoTime.getAsLong() - refreshNanos) : last);
        } finally {
            entry.lock.unlock();
        }
    }

    /**
     * Whether a look-up of a name still gives its last known version although its file holds another one: what was
     * overwritten in place is not taken before it is still, and a renamed file that has inherited an inode looks the same.
     * Asks the file system.
     */
    public boolean isBeingOverwritten(String name) {
        Optional<AdapterFile> last = lastKnown(name);
        return last.isPresent() && isBeingOverwritten(last.get());
    }

    private boolean isBeingOverwritten(AdapterFile file) {
        try {
            AdapterFile.Stamp stamp = AdapterFile.Stamp.of(file.path());
            return !stamp.equals(file.stamp()) && isUnsettled(file.stamp(), stamp);
        } catch (IOException e) {
            return false;
        }
    }

    private Entry entry(String name) {
        AdapterName.check(requireNonNull(name, "name is null"));
        return entries.computeIfAbsent(name, key -> new Entry());
    }

    /** A name from a record may be anything: what is not there takes no memory. */
    private void forget(String name, Entry entry) {
        entry.last = Optional.empty();
        entries.remove(name, entry);
    }

    private Optional<AdapterFile> fresh(Entry entry, long now) {
        return entry.last.filter(last -> now - last.nanos() < refreshNanos).map(Checked::file);
    }

    private Checked refresh(String name, Optional<Checked> last, long now, Runnable betweenParts) {
        for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
            Found found = find(name);
            Optional<Checked> standing = standing(found, last, now);
            if (standing.isPresent()) {
                return standing.get();
            }
            Optional<Checked> checked = read(name, found, last.map(Checked::file), now, betweenParts);
            if (checked.isPresent() && find(name).equals(found)) {
                return checked.get();
            }
        }
        throw invalid(name, "changes while it is read; publish adapters by renaming a complete file.", null);
    }

    /** The last version, if nothing has changed, or what changed was written in place and the writer may not be done. */
    private Optional<Checked> standing(Found found, Optional<Checked> last, long now) {
        return last.filter(checked -> stands(checked, found)).map(checked -> checked.at(now));
    }

    private boolean stands(Checked last, Found found) {
        boolean fileStands = isSame(last.file(), found.file())
                || isUnsettled(last.file().stamp(), found.file().stamp());
        Optional<AdapterFile.Stamp> card = found.card().map(Located::stamp);
        boolean cardStands = last.cardStamp().equals(card)
                || (last.cardStamp().isPresent()
                        && card.isPresent()
                        && isUnsettled(last.cardStamp().get(), card.get()));
        return fileStands && cardStands;
    }

    private static boolean isSame(AdapterFile file, Located found) {
        return file.path().equals(found.path()) && file.stamp().equals(found.stamp());
    }

    /** Under another path it is the same file if the file system tells files apart. */
    private static boolean hasSameContent(AdapterFile file, Located found) {
        return isSame(file, found)
                || (!file.stamp().fileKey().isEmpty() && file.stamp().equals(found.stamp()));
    }

    /** The same inode with other content was written in place, a moment ago. A time far ahead says nothing of when. */
    private boolean isUnsettled(AdapterFile.Stamp previous, AdapterFile.Stamp stamp) {
        Instant now = clock.instant();
        return previous.fileKey().equals(stamp.fileKey())
                && now.isBefore(stamp.lastModified().toInstant().plus(settleTime))
                && now.plus(MOST_CLOCK_DIFFERENCE).isAfter(stamp.lastModified().toInstant());
    }

    private Found find(String name) {
        return reading(name, () -> locations.find(name));
    }

    /** Empty if the file was there and is not any more: it may have been published anew, under another path. */
    private Optional<Checked> read(
            String name, Found found, Optional<AdapterFile> last, long now, Runnable betweenParts) {
        return reading(name, () -> {
            try {
                return Optional.of(readFound(name, found, last, now, betweenParts));
            } catch (NoSuchFileException e) {
                return Optional.empty();
            }
        });
    }

    /** The card first: a bad one is found without reading the file. Only a new file is read, not one with a new card. */
    private static Checked readFound(
            String name, Found found, Optional<AdapterFile> last, long now, Runnable betweenParts) throws IOException {
        AdapterCard card = readCard(found, name);
        Located file = found.file();
        Optional<AdapterFile> same = last.filter(known -> hasSameContent(known, file));
        AdapterFile adapter =
                same.isPresent() ? same.get().with(file.path(), card) : readContent(name, file, card, betweenParts);
        return new Checked(adapter, found.card().map(Located::stamp), now);
    }

    private static AdapterFile readContent(String name, Located file, AdapterCard card, Runnable betweenParts)
            throws IOException {
        WeightScan weights = WeightScan.of(file.path());
        String digest = AdapterDigest.of(file.path(), weights::take, betweenParts);
        return new AdapterFile(name, file.path(), digest, file.stamp(), card, weights.found());
    }

    @FunctionalInterface
    private interface Read<T> {
        T get() throws IOException;
    }

    private <T> T reading(String name, Read<T> read) {
        try {
            return read.get();
        } catch (NoSuchFileException e) {
            throw notFound(name, e);
        } catch (IOException e) {
            throw invalid(name, "cannot be read: %s.".formatted(e.getMessage()), e);
        }
    }

    private static AdapterCard readCard(Found found, String name) throws IOException {
        if (found.card().isEmpty()) {
            return AdapterCard.NONE;
        }
        try (InputStream in = Files.newInputStream(found.card().get().path())) {
            return AdapterCard.parse(in.readNBytes(AdapterCard.MOST_BYTES + 1), name);
        }
    }

    /** Whether there is a file for a name. Asks the file system, and reads no file: {@link #resolve} may still refuse it. */
    public boolean contains(String name) {
        return locations.contains(requireNonNull(name, "name is null"));
    }

    /**
     * The names of all adapters, in order. Reads the folder, and no file.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_NOT_FOUND} if the folder cannot be read
     */
    public List<String> names() {
        return locations.names();
    }

    /** Where the file of a name is, whatever it holds. Throws like {@link #resolve}. */
    public Path path(String name) {
        AdapterName.check(name);
        return find(name).file().path();
    }

    /** The card of a name; reads no other file. Throws like {@link #resolve}. */
    public AdapterCard card(String name) {
        AdapterName.check(name);
        return reading(name, () -> readCard(locations.find(name), name));
    }

    private LlamafuException notFound(String name, Throwable cause) {
        String message = locations.isEmpty()
                ? "There is no adapter '%s': neither the option 'adapters' nor 'adapters.files' names any."
                        .formatted(name)
                : "There is no adapter '%s' in %s; %s.".formatted(name, locations, knownNames());
        return new LlamafuException(ErrorCode.ADAPTER_NOT_FOUND, message, cause);
    }

    /** For a message; looked up once an interval, so that a stream of unknown names does not read the folder each time. */
    private String knownNames() {
        KnownNames known = lastKnown;
        long now = nanoTime.getAsLong();
        if (known == null || now - known.readNanos() >= refreshNanos) {
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
                ErrorCode.ADAPTER_INVALID, "The adapter '%s' in %s %s".formatted(name, locations, problem), cause);
    }
}
