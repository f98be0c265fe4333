package io.llamafu.flink.artifact;

import io.llamafu.LlamafuException;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

/**
 * Looks up whether remote adapters exist. Answers are cached for the refresh interval. Within an interval, the first
 * names are looked up separately, so that a newly published one is found; after those, one listing of the folder
 * answers for all others; and after a failed call there is no other. A file system thus gets a bounded number of calls,
 * however many names are looked up. Used by one thread.
 */
final class RemoteLookUps implements Predicate<String> {
    /** Per interval, for files of the folder. */
    static final int MOST_SINGLE_CALLS = 50;

    private final RemoteFiles adapters;
    private final Duration refreshInterval;
    private final LongSupplier nanoTime;

    private final Map<String, Boolean> answers = new HashMap<>();
    private Optional<Set<String>> listing = Optional.empty();
    private Optional<LlamafuException> failure = Optional.empty();
    private long intervalStart;

    RemoteLookUps(RemoteFiles adapters, Duration refreshInterval, LongSupplier nanoTime) {
        this.adapters = adapters;
        this.refreshInterval = refreshInterval;
        this.nanoTime = nanoTime;
        this.intervalStart = nanoTime.getAsLong();
    }

    @Override
    public boolean test(String name) {
        forgetAfterTheInterval();
        Boolean known = answers.get(name);
        if (known != null) {
            return known;
        }
        if (failure.isPresent()) {
            throw new LlamafuException(failure.get().code(), failure.get().sentence(), failure.get());
        }
        try {
            return ask(name);
        } catch (LlamafuException e) {
            failure = Optional.of(e);
            throw e;
        }
    }

    private void forgetAfterTheInterval() {
        long now = nanoTime.getAsLong();
        if (now - intervalStart >= refreshInterval.toNanos()) {
            answers.clear();
            listing = Optional.empty();
            failure = Optional.empty();
            intervalStart = now;
        }
    }

    private boolean ask(String name) {
        if (listing.isEmpty() && answers.size() >= MOST_SINGLE_CALLS) {
            listing = Optional.of(adapters.listAgain().keySet());
        }
        if (listing.isPresent()) {
            return listing.get().contains(name);
        }
        boolean exists =
                adapters.fileOf(name).or(() -> adapters.fileInFolder(name)).isPresent();
        answers.put(name, exists);
        return exists;
    }
}
