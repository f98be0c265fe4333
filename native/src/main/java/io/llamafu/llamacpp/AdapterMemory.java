package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.Futures;
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
 * Tracks the adapters in memory, their leases and the requests that wait for memory. Pure bookkeeping under one lock, which
 * is never held while a file is read, a future completed or native code called.
 *
 * <p>A stack gets all its adapters or none, so no request holds memory while it waits for more. A request whose adapters are
 * all in memory overtakes the waiting ones. Those are served in the order of arrival, as soon as evicting idle adapters, the
 * least recently used first, frees enough memory. The first in line could still wait forever for adapters that are always in
 * use, so after {@link #PATIENCE} such overtakings the least used adapters accept no new leases until it is served.
 *
 * <p>Bytes are counted from before a load until after the weights are freed, so the budget is never exceeded. A version
 * without a name is freed when its last lease ends.
 */
final class AdapterMemory {
    /** How often the first in line may be overtaken. */
    static final int PATIENCE = 32;

    private static final Duration MOST_TIME_TO_BEGIN = Duration.ofMinutes(1);

    private static final Comparator<ResidentAdapter> LONGEST_IDLE_FIRST =
            Comparator.comparingLong(ResidentAdapter::lastLeased);
    private static final Comparator<ResidentAdapter> LEAST_USED_FIRST =
            Comparator.comparingInt(ResidentAdapter::leases).thenComparing(LONGEST_IDLE_FIRST);

    private final long budget;
    private final Consumer<ResidentAdapter> loader;
    private final BiConsumer<LlamaAdapter, Runnable> evictor;

    private final Map<String, ResidentAdapter> byDigest = new HashMap<>();
    private final Map<String, String> digestByName = new HashMap<>();
    private final Deque<Waiter> waiting = new ArrayDeque<>();
    /** Actions to run after the lock is released. */
    private final List<Runnable> afterwards = new ArrayList<>();
    /** Evictions to start after the lock is released, before the other actions. */
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

    /** @param patient whether it waits for leases to end, rather than only for idle adapters to be freed */
    private record Waiter(List<AdapterFile> files, boolean patient, CompletableFuture<List<ResidentAdapter>> room) {}

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
     * @param evictor frees the weights, and then runs the callback
     */
    AdapterMemory(long budget, Consumer<ResidentAdapter> loader, BiConsumer<LlamaAdapter, Runnable> evictor) {
        this.budget = budget;
        this.loader = loader;
        this.evictor = evictor;
    }

    /** Applies a change, serves the requests that can now be served, and runs the resulting actions without the lock. */
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
        change(() -> {
            change.run();
            return null;
        });
    }

    /** Leases of these files, in their order, if all of them are in memory. */
    Optional<List<ResidentAdapter>> leaseLoaded(List<AdapterFile> files) {
        return change(() -> {
            boolean loaded = files.stream()
                    .map(file -> byDigest.get(file.digest()))
                    .allMatch(resident -> resident != null && resident.isLoaded() && !resident.isDraining());
            return loaded ? Optional.of(pass(files)) : Optional.empty();
        });
    }

    /**
     * Leases of these files, in their order, as soon as there is memory for all of them; some may still have to be loaded
     * then. Cancelling the future gives up the place in line.
     *
     * @param patient whether to wait for leases of others to end
     * @throws LlamafuException with OUT_OF_MEMORY if these files alone exceed the budget. Without patience the future fails
     *     with it if there is not enough memory now
     */
    CompletableFuture<List<ResidentAdapter>> lease(List<AdapterFile> files, boolean patient) {
        requireFit(files);
        Waiter waiter = new Waiter(files, patient, new CompletableFuture<>());
        change(() -> enter(waiter));
        Futures.whenComplete(waiter.room(), (residents, failure) -> {
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
            fail(waiter, LlamafuException.engineClosed());
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

    private List<ResidentAdapter> pass(List<AdapterFile> files) {
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

    /** Whether the first in line can leave it. */
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
        List<ResidentAdapter> others = others(first);
        List<ResidentAdapter> idle = others.stream()
                .filter(ResidentAdapter::isIdle)
                .sorted(LONGEST_IDLE_FIRST)
                .toList();
        long idleBytes = bytesIn(idle);
        if (missing > idleBytes) {
            if (passes >= PATIENCE) {
                drain(others.stream().filter(resident -> !resident.isIdle()).toList(), missing - idleBytes);
            }
            return Room.IN_USE;
        }
        for (ResidentAdapter resident : idle) {
            if (missing > 0) {
                missing -= resident.bytes();
                evict(resident);
            }
        }
        return Room.COMING;
    }

    private List<ResidentAdapter> others(Waiter waiter) {
        Set<String> own = waiter.files().stream().map(AdapterFile::digest).collect(Collectors.toSet());
        return byDigest.values().stream()
                .filter(resident -> !own.contains(resident.digest()))
                .toList();
    }

    private static void drain(List<ResidentAdapter> inUse, long wanted) {
        long missing = wanted
                - bytesIn(inUse.stream().filter(ResidentAdapter::isDraining).toList());
        for (ResidentAdapter resident : inUse.stream().sorted(LEAST_USED_FIRST).toList()) {
            if (missing > 0 && !resident.isDraining()) {
                resident.drain(true);
                missing -= resident.bytes();
            }
        }
    }

    private List<ResidentAdapter> leased(List<AdapterFile> files) {
        List<ResidentAdapter> leased = new ArrayList<>();
        for (AdapterFile file : files) {
            ResidentAdapter resident = byDigest.computeIfAbsent(file.digest(), digest -> reserve(file));
            resident.lease(++clock);
            leased.add(resident);
            nameNow(file);
        }
        return leased;
    }

    private ResidentAdapter reserve(AdapterFile file) {
        ResidentAdapter resident = new ResidentAdapter(file);
        bytes += resident.bytes();
        afterwards.add(() -> loader.accept(resident));
        return resident;
    }

    /** The name now stands for this version. The previous one is retired unless it has another name. */
    private void nameNow(AdapterFile file) {
        String previous = digestByName.put(file.name(), file.digest());
        if (previous != null && !previous.equals(file.digest())) {
            retireIfUnnamed(previous);
        }
    }

    /** The name does not stand for any version any more. */
    void nameGone(String name) {
        change(() -> {
            String previous = digestByName.remove(name);
            if (previous != null) {
                retireIfUnnamed(previous);
            }
        });
    }

    private void retireIfUnnamed(String digest) {
        ResidentAdapter resident = byDigest.get(digest);
        if (resident != null && !digestByName.containsValue(digest)) {
            resident.retire();
            evictIfDone(resident);
        }
    }

    private void grant(Waiter waiter, List<ResidentAdapter> residents) {
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
    void release(List<ResidentAdapter> residents) {
        change(() -> residents.forEach(resident -> {
            resident.release();
            evictIfDone(resident);
        }));
    }

    /** The loader has loaded the weights. */
    void loaded(ResidentAdapter resident, LlamaAdapter weights) {
        change(() -> {
            bytes += weights.bytes() - resident.bytes();
            resident.weigh(weights.bytes());
            loads++;
        });
        resident.adapter().complete(weights);
        change(() -> evictIfDone(resident));
    }

    /** The loader has failed; the next request for the adapter loads it again. */
    void failed(ResidentAdapter resident, Throwable failure) {
        change(() -> {
            byDigest.remove(resident.digest(), resident);
            bytes -= resident.bytes();
            failures++;
        });
        resident.adapter().completeExceptionally(failure);
    }

    private void evictIfDone(ResidentAdapter resident) {
        if (resident.isRetired() && resident.isIdle()) {
            evict(resident);
        }
    }

    private void evict(ResidentAdapter resident) {
        // after stop no thread is left to free it; close does
        if (!stopped && byDigest.remove(resident.digest(), resident)) {
            bytesBeingFreed += resident.bytes();
            evictions++;
            evictionsToBegin.add(() -> evictor.accept(resident.adapter().join(), () -> freed(resident)));
        }
    }

    private void freed(ResidentAdapter resident) {
        change(() -> {
            bytes -= resident.bytes();
            bytesBeingFreed -= resident.bytes();
        });
    }

    /** Frees all versions of a name, those in use after their last lease; returns whether there were any. */
    boolean unload(String name) {
        return change(() -> {
            List<ResidentAdapter> versions = byDigest.values().stream()
                    .filter(resident -> resident.file().name().equals(name)
                            || resident.digest().equals(digestByName.get(name)))
                    .toList();
            for (ResidentAdapter version : versions) {
                version.retire();
                evictIfDone(version);
            }
            return !versions.isEmpty();
        });
    }

    /** Frees the idle adapters; returns how many. */
    int evictIdle() {
        return change(() -> {
            List<ResidentAdapter> idle =
                    byDigest.values().stream().filter(ResidentAdapter::isIdle).toList();
            idle.forEach(this::evict);
            return idle.size();
        });
    }

    /** Whether the content of a file is in memory. */
    synchronized boolean isLoaded(AdapterFile file) {
        ResidentAdapter resident = byDigest.get(file.digest());
        return resident != null && resident.isLoaded();
    }

    /** Describes the adapters in memory, under the lock. */
    synchronized <T> List<T> describe(Function<ResidentAdapter, T> describe) {
        return byDigest.values().stream()
                .filter(ResidentAdapter::isLoaded)
                .map(describe)
                .toList();
    }

    synchronized int count() {
        return (int)
                byDigest.values().stream().filter(ResidentAdapter::isLoaded).count();
    }

    /** The bytes counted against the budget. */
    synchronized long bytes() {
        return bytes;
    }

    /** The most bytes; 0 is no limit. */
    long budget() {
        return budget;
    }

    /** Files loaded so far. */
    synchronized long loadCount() {
        return loads;
    }

    /** Adapters evicted so far, including those whose weights are still being freed. */
    synchronized long evictionCount() {
        return evictions;
    }

    /** Loads that failed. */
    synchronized long failureCount() {
        return failures;
    }

    /** Fails the waiting requests, and returns when the evictor has got its last adapter. */
    void stop() {
        change(() -> {
            stopped = true;
            waiting.forEach(waiter -> fail(waiter, LlamafuException.engineClosed()));
            waiting.clear();
        });
        boolean begun = UninterruptedWait.await(MOST_TIME_TO_BEGIN, this::awaitEvictionsBegun);
        if (!begun) {
            throw new LlamafuException(
                    ErrorCode.ENGINE_FAILED,
                    "An adapter was still on its way out after %s.".formatted(MOST_TIME_TO_BEGIN));
        }
    }

    /** Another thread may have decided to evict an adapter without having told the evictor yet. */
    private synchronized boolean awaitEvictionsBegun(long nanos) throws InterruptedException {
        long end = System.nanoTime() + nanos;
        for (long left = nanos; evictionsBeginning > 0 && left > 0; left = end - System.nanoTime()) {
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return evictionsBeginning == 0;
    }

    /** Frees everything at once. No adapter may be in use. */
    synchronized void close() {
        byDigest.values().stream()
                .filter(ResidentAdapter::isLoaded)
                .forEach(resident -> resident.adapter().join().close());
        byDigest.clear();
        bytes = bytesBeingFreed;
    }

    private static long bytesOf(Collection<AdapterFile> files) {
        Map<String, Long> byDigest = new HashMap<>();
        files.forEach(file -> byDigest.put(file.digest(), file.byteSize()));
        return byDigest.values().stream().mapToLong(Long::longValue).sum();
    }

    private static long bytesIn(Collection<ResidentAdapter> residents) {
        return residents.stream().mapToLong(ResidentAdapter::bytes).sum();
    }

    private static String names(Collection<AdapterFile> files) {
        return files.stream().map(AdapterFile::name).collect(Collectors.joining("', '", "Adapters '", "'"));
    }
}
