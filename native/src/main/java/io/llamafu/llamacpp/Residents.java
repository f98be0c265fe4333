package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterFile;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Which adapters are in memory, who holds them, and who waits for room: bookkeeping under one lock, which is never held
 * while a file is read, a future completed or native code called.
 *
 * <p>A stack gets its adapters all or none, so that nobody holds room while he waits for more. Who needs none (all his
 * adapters are there) passes those who wait; the others are served in the order of arrival, when idle adapters, the longest
 * idle first, can give the room. So that the first of them does not wait forever for adapters that are always in use,
 * after {@link #PATIENCE} such passes the least used of them take no new leases until he is served.
 *
 * <p>Bytes count from before a load until after the weights are freed: the budget is never exceeded. A version that no
 * name stands for any more is freed when its last lease ends.
 */
final class Residents {
    /** How many leases of adapters in memory are given while the first in line waits for room. */
    static final int PATIENCE = 32;

    private static final Duration MOST_TIME_TO_BEGIN = Duration.ofMinutes(1);

    private static final Comparator<Resident> LONGEST_IDLE_FIRST = Comparator.comparingLong(Resident::lastLeased);
    private static final Comparator<Resident> LEAST_USED_FIRST =
            Comparator.comparingInt(Resident::leases).thenComparing(LONGEST_IDLE_FIRST);

    private final long budget;
    private final Consumer<Resident> loader;
    private final BiConsumer<LlamaAdapter, Runnable> evictor;

    private final Map<String, Resident> byDigest = new HashMap<>();
    private final Map<String, String> digestByName = new HashMap<>();
    private final Deque<Waiter> waiting = new ArrayDeque<>();
    /** What is to be done when the lock is free. */
    private final List<Runnable> afterwards = new ArrayList<>();
    /** Evictions that are to be begun then, before all else. */
    private final List<Runnable> evictionsToBegin = new ArrayList<>();

    private long bytes;
    private long bytesBeingFreed;
    private long loads;
    private long evictions;
    private long failures;
    private long clock;
    private int passes;
    private int evictionsBeginning;
    private boolean stopped;

    /** @param patient whether it waits for leases to end, and not only for idle adapters to be freed */
    private record Waiter(List<AdapterFile> files, boolean patient, CompletableFuture<List<Resident>> room) {}

    private enum Room {
        THERE,
        /** Idle adapters are being freed. */
        COMING,
        /** Leases must end first. */
        IN_USE
    }

    /**
     * @param budget the most bytes; 0 is no limit
     * @param loader starts to load; ends in {@link #loaded} or {@link #failed}
     * @param evictor frees the weights, and then runs what it is given
     */
    Residents(long budget, Consumer<Resident> loader, BiConsumer<LlamaAdapter, Runnable> evictor) {
        this.budget = budget;
        this.loader = loader;
        this.evictor = evictor;
    }

    /** Changes the books, serves who can be served now, and then does what follows from it without the lock. */
    private <T> T change(Supplier<T> change) {
        T result;
        List<Runnable> due;
        List<Runnable> evictionsDue;
        synchronized (this) {
            result = change.get();
            serveWaiting();
            due = List.copyOf(afterwards);
            afterwards.clear();
            evictionsDue = List.copyOf(evictionsToBegin);
            evictionsToBegin.clear();
            evictionsBeginning += evictionsDue.size();
        }
        evictionsDue.forEach(this::begin);
        due.forEach(Runnable::run);
        return result;
    }

    private void begin(Runnable eviction) {
        try {
            eviction.run();
        } finally {
            synchronized (this) {
                evictionsBeginning--;
                notifyAll();
            }
        }
    }

    private void change(Runnable change) {
        Object unused = change(() -> {
            change.run();
            return null;
        });
    }

    /** Leases of these files, if all of them are in memory; in their order. */
    Optional<List<Resident>> leaseLoaded(List<AdapterFile> files) {
        return change(() -> {
            boolean loaded = files.stream()
                    .map(file -> byDigest.get(file.digest()))
                    .allMatch(resident -> resident != null && resident.isLoaded() && !resident.isDraining());
            return loaded ? Optional.of(pass(files)) : Optional.empty();
        });
    }

    /**
     * Leases of these files, in their order, when there is room for those that are not in memory; they may still have to be
     * loaded then. Who cancels the future gives up his place.
     *
     * @param patient whether it waits for leases of others to end
     * @throws LlamafuException with OUT_OF_MEMORY if these files alone exceed the budget; in the future, if there is no room
     *     now for one who does not wait
     */
    CompletableFuture<List<Resident>> lease(List<AdapterFile> files, boolean patient) {
        requireFit(files);
        Waiter waiter = new Waiter(files, patient, new CompletableFuture<>());
        change(() -> enter(waiter));
        CompletableFuture<List<Resident>> unused = waiter.room().whenComplete((residents, failure) -> {
            if (waiter.room().isCancelled()) {
                change(() -> {});
            }
        });
        return waiter.room();
    }

    private void requireFit(List<AdapterFile> files) {
        long needed = bytesOf(files);
        if (budget > 0 && needed > budget) {
            throw new LlamafuException(
                    ErrorCode.OUT_OF_MEMORY,
                    "%s: %d bytes are needed, but adapters.memory-budget is %d; raise it."
                            .formatted(names(files), needed, budget));
        }
    }

    private void enter(Waiter waiter) {
        if (stopped) {
            fail(waiter, new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one."));
        } else if (needsNoRoom(waiter)) {
            grant(waiter, pass(waiter.files()));
        } else if (!waiter.patient() && !waiting.isEmpty()) {
            fail(waiter, noRoomNow(waiter));
        } else {
            waiting.add(waiter);
        }
    }

    private boolean needsNoRoom(Waiter waiter) {
        return waiter.files().stream()
                .map(file -> byDigest.get(file.digest()))
                .allMatch(resident -> resident != null && !resident.isDraining());
    }

    private List<Resident> pass(List<AdapterFile> files) {
        if (!waiting.isEmpty()) {
            passes++;
        }
        return leased(files);
    }

    private void serveWaiting() {
        boolean served = false;
        while (!waiting.isEmpty() && isServed(waiting.peek())) {
            waiting.remove();
            passes = 0;
            byDigest.values().forEach(resident -> resident.drain(false));
            served = true;
        }
        if (served) {
            waiting.removeIf(this::isServedWithoutRoom);
        }
    }

    /** Whether the first in line is out of it. */
    private boolean isServed(Waiter first) {
        if (first.room().isDone()) {
            return true;
        }
        return switch (makeRoom(first)) {
            case THERE -> {
                grant(first, leased(first.files()));
                yield true;
            }
            case COMING -> false;
            case IN_USE -> {
                if (!first.patient()) {
                    fail(first, noRoomNow(first));
                }
                yield !first.patient();
            }
        };
    }

    private boolean isServedWithoutRoom(Waiter waiter) {
        if (!waiter.room().isDone() && needsNoRoom(waiter)) {
            grant(waiter, pass(waiter.files()));
            return true;
        }
        return waiter.room().isDone();
    }

    private Room makeRoom(Waiter first) {
        long needed = bytesOf(first.files().stream()
                .filter(file -> !byDigest.containsKey(file.digest()))
                .toList());
        if (budget == 0 || needed == 0 || bytes + needed <= budget) {
            return Room.THERE;
        }
        long missing = bytes - bytesBeingFreed + needed - budget;
        List<Resident> others = others(first);
        List<Resident> idle = others.stream()
                .filter(Resident::isIdle)
                .sorted(LONGEST_IDLE_FIRST)
                .toList();
        long idleBytes = bytesIn(idle);
        if (missing > idleBytes) {
            if (passes >= PATIENCE) {
                drain(others.stream().filter(resident -> !resident.isIdle()).toList(), missing - idleBytes);
            }
            return Room.IN_USE;
        }
        for (Resident resident : idle) {
            if (missing > 0) {
                missing -= resident.bytes();
                evict(resident);
            }
        }
        return Room.COMING;
    }

    private List<Resident> others(Waiter waiter) {
        Set<String> own = waiter.files().stream().map(AdapterFile::digest).collect(Collectors.toSet());
        return byDigest.values().stream()
                .filter(resident -> !own.contains(resident.digest()))
                .toList();
    }

    private static void drain(List<Resident> inUse, long wanted) {
        long missing =
                wanted - bytesIn(inUse.stream().filter(Resident::isDraining).toList());
        for (Resident resident : inUse.stream().sorted(LEAST_USED_FIRST).toList()) {
            if (missing > 0 && !resident.isDraining()) {
                resident.drain(true);
                missing -= resident.bytes();
            }
        }
    }

    private List<Resident> leased(List<AdapterFile> files) {
        List<Resident> leased = new ArrayList<>();
        for (AdapterFile file : files) {
            Resident resident = byDigest.computeIfAbsent(file.digest(), digest -> reserve(file));
            resident.lease(++clock);
            leased.add(resident);
            nameNow(file);
        }
        return leased;
    }

    private Resident reserve(AdapterFile file) {
        Resident resident = new Resident(file);
        bytes += resident.bytes();
        afterwards.add(() -> loader.accept(resident));
        return resident;
    }

    /** A name stands for this version; the one before it is old, unless another name stands for it. */
    private void nameNow(AdapterFile file) {
        String previous = digestByName.put(file.name(), file.digest());
        if (previous != null && !previous.equals(file.digest())) {
            retireIfUnnamed(previous);
        }
    }

    /** A name stands for nothing any more. */
    void nameGone(String name) {
        change(() -> {
            String previous = digestByName.remove(name);
            if (previous != null) {
                retireIfUnnamed(previous);
            }
        });
    }

    private void retireIfUnnamed(String digest) {
        Resident resident = byDigest.get(digest);
        if (resident != null && !digestByName.containsValue(digest)) {
            resident.retire();
            evictIfDone(resident);
        }
    }

    private void grant(Waiter waiter, List<Resident> residents) {
        afterwards.add(() -> {
            if (!waiter.room().complete(residents)) {
                release(residents);
            }
        });
    }

    private void fail(Waiter waiter, LlamafuException failure) {
        afterwards.add(() -> waiter.room().completeExceptionally(failure));
    }

    private LlamafuException noRoomNow(Waiter waiter) {
        return new LlamafuException(
                ErrorCode.OUT_OF_MEMORY,
                "%s: %d bytes are needed, but requests hold too many of the %d bytes of adapters.memory-budget at the moment; raise it, or ask again."
                        .formatted(names(waiter.files()), bytesOf(waiter.files()), budget));
    }

    /** Ends leases. */
    void release(List<Resident> residents) {
        change(() -> residents.forEach(resident -> {
            resident.release();
            evictIfDone(resident);
        }));
    }

    /** The loader has brought the weights. */
    void loaded(Resident resident, LlamaAdapter weights) {
        change(() -> {
            bytes += weights.bytes() - resident.bytes();
            resident.weigh(weights.bytes());
            loads++;
        });
        resident.adapter().complete(weights);
        change(() -> evictIfDone(resident));
    }

    /** The loader has failed; the next who asks for it makes it try again. */
    void failed(Resident resident, Throwable failure) {
        change(() -> {
            byDigest.remove(resident.digest(), resident);
            bytes -= resident.bytes();
            failures++;
        });
        resident.adapter().completeExceptionally(failure);
    }

    private void evictIfDone(Resident resident) {
        if (resident.isRetired() && resident.isIdle()) {
            evict(resident);
        }
    }

    private void evict(Resident resident) {
        // once stopped, nobody is there to free it; close does
        if (!stopped && byDigest.remove(resident.digest(), resident)) {
            bytesBeingFreed += resident.bytes();
            evictions++;
            evictionsToBegin.add(() -> evictor.accept(resident.adapter().join(), () -> freed(resident)));
        }
    }

    private void freed(Resident resident) {
        change(() -> {
            bytes -= resident.bytes();
            bytesBeingFreed -= resident.bytes();
        });
    }

    /** Frees all versions of a name, those in use when their last lease ends; returns whether there were any. */
    boolean unload(String name) {
        return change(() -> {
            List<Resident> versions = byDigest.values().stream()
                    .filter(resident -> resident.file().name().equals(name)
                            || resident.digest().equals(digestByName.get(name)))
                    .toList();
            for (Resident version : versions) {
                version.retire();
                evictIfDone(version);
            }
            return !versions.isEmpty();
        });
    }

    /** Frees the idle ones; returns how many. */
    int evictIdle() {
        return change(() -> {
            List<Resident> idle =
                    byDigest.values().stream().filter(Resident::isIdle).toList();
            idle.forEach(this::evict);
            return idle.size();
        });
    }

    /** Whether the content of a file is in memory. */
    synchronized boolean isLoaded(AdapterFile file) {
        Resident resident = byDigest.get(file.digest());
        return resident != null && resident.isLoaded();
    }

    /** Those in memory, as {@code describe} sees them under the lock. */
    synchronized <T> List<T> describe(Function<Resident, T> describe) {
        return byDigest.values().stream()
                .filter(Resident::isLoaded)
                .map(describe)
                .toList();
    }

    synchronized int count() {
        return (int) byDigest.values().stream().filter(Resident::isLoaded).count();
    }

    /** What counts in the budget now. */
    synchronized long bytes() {
        return bytes;
    }

    /** Files loaded so far. */
    synchronized long loadCount() {
        return loads;
    }

    /** Adapters that have left, or wait for their weights to be freed. */
    synchronized long evictionCount() {
        return evictions;
    }

    /** Loads that failed. */
    synchronized long failureCount() {
        return failures;
    }

    /** Nobody waits for room any more, and the evictor has been given all that it will be. */
    void stop() {
        change(() -> {
            stopped = true;
            LlamafuException closed =
                    new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one.");
            waiting.forEach(waiter -> fail(waiter, closed));
            waiting.clear();
        });
        boolean begun = UninterruptedWait.await(MOST_TIME_TO_BEGIN, this::awaitEvictionsBegun);
        if (!begun) {
            throw new LlamafuException(
                    ErrorCode.ENGINE_FAILED,
                    "An adapter was still on its way out after %s.".formatted(MOST_TIME_TO_BEGIN));
        }
    }

    /** Another thread may have decided to evict and not have told the evictor yet, who would be told too late. */
    private synchronized boolean awaitEvictionsBegun(long nanos) throws InterruptedException {
        long end = System.nanoTime() + nanos;
        for (long left = nanos; evictionsBeginning > 0 && left > 0; left = end - System.nanoTime()) {
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return evictionsBeginning == 0;
    }

    /** Frees everything at once; nobody may use an adapter any more. */
    synchronized void close() {
        byDigest.values().stream()
                .filter(Resident::isLoaded)
                .forEach(resident -> resident.adapter().join().close());
        byDigest.clear();
        bytes = bytesBeingFreed;
    }

    private static long bytesOf(Collection<AdapterFile> files) {
        Map<String, Long> byDigest = new HashMap<>();
        files.forEach(file -> byDigest.put(file.digest(), file.byteSize()));
        return byDigest.values().stream().mapToLong(Long::longValue).sum();
    }

    private static long bytesIn(Collection<Resident> residents) {
        return residents.stream().mapToLong(Resident::bytes).sum();
    }

    private static String names(Collection<AdapterFile> files) {
        return files.stream().map(AdapterFile::name).collect(Collectors.joining("', '", "Adapters '", "'"));
    }
}
