package io.llamafu.flink.artifact;

import io.llamafu.DaemonThreads;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Threads for calls to one remote store. A call that makes no progress is interrupted, and another thread takes its
 * place, because clients of stores may hang forever and do not always react to an interrupt. Thread-safe.
 */
final class StoreThreads implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(StoreThreads.class);

    /** Longer than the cache waits for another process that fetches the same file and makes no progress. */
    static final Duration STALLED = Duration.ofMinutes(5);

    /** Hanging calls that are replaced. If there are more, further calls wait until one of them ends. */
    static final int MOST_HANGING = 16;

    private static final long KEEP_ALIVE_MILLIS = 1000;
    private static final long LOOK_MILLIS = 500;

    private final int threads;
    private final Duration patience;
    private final ThreadPoolExecutor pool;

    // guarded by this
    private final Set<Call> running = new HashSet<>();
    private int hanging;

    /**
     * Threads that start on demand.
     *
     * @param threads the most calls at the same time
     * @param patience how long a call may make no progress
     */
    StoreThreads(String name, int threads, Duration patience) {
        this.threads = threads;
        this.patience = patience;
        this.pool = new ThreadPoolExecutor(
                threads,
                threads,
                KEEP_ALIVE_MILLIS,
                TimeUnit.MILLISECONDS,
                new LinkedBlockingQueue<>(),
                DaemonThreads.named(name));
        pool.allowCoreThreadTimeOut(true);
    }

    private final class Call implements Runnable {
        private final Consumer<Runnable> work;
        private final Runnable onHanging;

        private volatile long progressNanos;
        // guarded by StoreThreads.this
        private Thread thread;
        private boolean givenUp;

        private Call(Consumer<Runnable> work, Runnable onHanging) {
            this.work = work;
            this.onHanging = onHanging;
        }

        @Override
        public void run() {
            progressNanos = System.nanoTime();
            synchronized (StoreThreads.this) {
                thread = Thread.currentThread();
                running.add(this);
            }
            try {
                work.accept(() -> progressNanos = System.nanoTime());
            } finally {
                synchronized (StoreThreads.this) {
                    running.remove(this);
                    if (givenUp) {
                        hanging--;
                        resize();
                    }
                }
                // The interrupt was for this call.
                boolean unused = Thread.interrupted();
            }
        }

        private boolean hangs() {
            return !givenUp && System.nanoTime() - progressNanos > patience.toNanos();
        }
    }

    /** A call with a result. */
    interface Fetch<T> {
        T run(Runnable progress) throws IOException;
    }

    /**
     * Makes one call on a separate thread and waits for it.
     *
     * @param patience how long it may make no progress
     * @throws TimeoutException if it made none
     * @throws InterruptedException if this thread is interrupted; the call is interrupted too
     */
    static <T extends AutoCloseable> T call(String name, Duration patience, Fetch<T> fetch)
            throws IOException, InterruptedException, TimeoutException {
        CompletableFuture<T> result = new CompletableFuture<>();
        try (StoreThreads thread = new StoreThreads(name, 1, patience)) {
            thread.execute(
                    progress -> {
                        try {
                            T fetched = fetch.run(progress);
                            if (!result.complete(fetched)) {
                                close(fetched);
                            }
                        } catch (Throwable e) {
                            result.completeExceptionally(e);
                        }
                    },
                    () -> result.completeExceptionally(new TimeoutException(name + " made no progress")));
            while (true) {
                try {
                    return result.get(LOOK_MILLIS, TimeUnit.MILLISECONDS);
                } catch (TimeoutException e) {
                    thread.giveUpHanging();
                }
            }
        } catch (InterruptedException e) {
            CompletableFuture<Void> unused = result.thenAccept(StoreThreads::close);
            throw e;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof TimeoutException hangs) {
                throw hangs;
            }
            if (e.getCause() instanceof LlamafuException coded) {
                throw coded;
            }
            throw e.getCause() instanceof IOException failure
                    ? failure
                    : new IOException(e.getCause().toString(), e.getCause());
        } finally {
            // A late result is closed.
            result.cancel(false);
        }
    }

    /** A result that came too late. */
    private static void close(AutoCloseable result) {
        try {
            result.close();
        } catch (Exception e) {
            LOG.warn("{} could not be closed.", result, e);
        }
    }

    /**
     * Makes a call when a thread is free.
     *
     * @param work does not throw; receives a callback to run from time to time while there is progress
     * @param onHanging runs on another thread if the call is given up; the call may still end later
     */
    void execute(Consumer<Runnable> work, Runnable onHanging) {
        pool.execute(new Call(work, onHanging));
    }

    /** To be called regularly. */
    void giveUpHanging() {
        List<Call> givenUp = new ArrayList<>();
        synchronized (this) {
            for (Call call : running) {
                if (call.hangs() && hanging < MOST_HANGING) {
                    call.givenUp = true;
                    hanging++;
                    call.thread.interrupt();
                    givenUp.add(call);
                }
            }
            resize();
        }
        givenUp.forEach(call -> call.onHanging.run());
    }

    private void resize() {
        int size = threads + hanging;
        if (size > pool.getMaximumPoolSize()) {
            pool.setMaximumPoolSize(size);
            pool.setCorePoolSize(size);
        } else {
            pool.setCorePoolSize(size);
            pool.setMaximumPoolSize(size);
        }
    }

    /** Interrupts all calls and drops those that have not started. */
    @Override
    public void close() {
        pool.shutdownNow();
    }
}
