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
 * Tells whether there is a remote adapter of a name. Answers are cached until the refresh interval has passed. Within one,
 * the first names are each asked for by themselves, so that one that was published a moment ago is found; after those, one
 * listing of the folder answers for all others; and after a call that failed there is no other. So a file system gets a
 * bounded number of calls however many names are asked for. Used by one thread.
 */
final class RemoteLookUps implements Predicate<String> {
    /** In an interval, of the folder. */
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
            throw new LlamafuException(failure.get().code(), failure.get().getMessage(), failure.get());
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
