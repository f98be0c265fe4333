package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

import static java.util.Objects.requireNonNull;

/**
 * One engine for each option set in a JVM, however many subtasks and jobs use it. An engine stays warm for its idle
 * timeout after the last user, so that a restarted job finds the model loaded.
 *
 * <p>A class loader that loads these classes anew has engines of its own.
 */
public final class SharedEngines {
    private static final Map<EngineOptions, SharedEngine> ENGINES = new HashMap<>();
    private static final AtomicLong OPENED = new AtomicLong();

    private SharedEngines() {}

    /** A share of an engine. */
    public static final class Lease implements AutoCloseable {
        private final SharedEngine shared;
        private final InferenceEngine engine;
        private final boolean opened;
        private final AtomicBoolean closed = new AtomicBoolean();

        private Lease(SharedEngine shared, InferenceEngine engine, boolean opened) {
            this.shared = shared;
            this.engine = engine;
            this.opened = opened;
        }

        public InferenceEngine engine() {
            return engine;
        }

        /** Whether this lease opened the engine, rather than joined it. */
        public boolean opened() {
            return opened;
        }

        /** Gives the share back; the last one starts the idle timeout. Idempotent. */
        @Override
        public void close() {
            if (closed.compareAndSet(false, true)) {
                SharedEngines.release(shared);
            }
        }
    }

    private static final class SharedEngine {
        private final EngineOptions options;
        // guarded by ENGINES
        private int leases;
        private long generation;
        // guarded by this
        private InferenceEngine engine;

        private SharedEngine(EngineOptions options) {
            this.options = options;
        }

        private synchronized Lease lease() {
            if (engine != null && !engine.isOpen()) {
                engine.close();
                engine = null;
            }
            boolean opens = engine == null;
            if (opens) {
                engine = SharedEngines.open(options);
                OPENED.incrementAndGet();
            }
            return new Lease(this, engine, opens);
        }

        private synchronized void close() {
            if (engine != null) {
                engine.close();
                engine = null;
            }
        }
    }

    /**
     * Opens the engine of these options, or joins it if it is open. Loading a model takes seconds to minutes; callers for
     * the same options wait for the one that loads.
     *
     * @throws LlamafuException if it cannot be opened
     */
    public static Lease acquire(EngineOptions options) {
        requireNonNull(options, "options is null");
        SharedEngine shared;
        synchronized (ENGINES) {
            shared = ENGINES.computeIfAbsent(options, SharedEngine::new);
            shared.leases++;
            shared.generation++;
            ENGINES.notifyAll();
        }
        try {
            return shared.lease();
        } catch (RuntimeException | Error e) {
            release(shared);
            throw e;
        }
    }

    /** How many engines of this class loader are open or kept warm. */
    public static int openEngines() {
        synchronized (ENGINES) {
            return ENGINES.size();
        }
    }

    /** How many engines this class loader has opened so far, each with a model of its own. */
    public static long openedEngines() {
        return OPENED.get();
    }

    private static void release(SharedEngine shared) {
        synchronized (ENGINES) {
            if (--shared.leases > 0) {
                return;
            }
            long generation = ++shared.generation;
            // A thread of its own that ends with the timeout: a lasting one would keep the class loader alive.
            Thread reaper = new Thread(() -> closeWhenIdle(shared, generation), "llamafu-idle-engine");
            reaper.setDaemon(true);
            reaper.start();
        }
    }

    private static void closeWhenIdle(SharedEngine shared, long generation) {
        try {
            synchronized (ENGINES) {
                long deadline = System.nanoTime() + shared.options.idleTimeout().toNanos();
                long left = deadline - System.nanoTime();
                while (shared.generation == generation && left > 0) {
                    TimeUnit.NANOSECONDS.timedWait(ENGINES, left);
                    left = deadline - System.nanoTime();
                }
                if (shared.generation != generation) {
                    return;
                }
                ENGINES.remove(shared.options);
            }
            shared.close();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static InferenceEngine open(EngineOptions options) {
        List<EngineProvider> providers =
                ServiceLoader.load(EngineProvider.class, SharedEngines.class.getClassLoader()).stream()
                        .map(ServiceLoader.Provider::get)
                        .sorted(Comparator.comparingInt(EngineProvider::priority)
                                .reversed())
                        .toList();
        return choose(options.engine(), providers).open(options);
    }

    /**
     * The provider of an engine.
     *
     * @param engine a name, or {@link EngineOptions#AUTO}
     * @param providers the highest priority first
     * @throws LlamafuException with INVALID_OPTION if there is no engine of that name, NATIVE_LIBRARY_UNAVAILABLE if it
     *     does not run here
     */
    static EngineProvider choose(String engine, List<EngineProvider> providers) {
        boolean auto = engine.equals(EngineOptions.AUTO);
        if (!auto && providers.stream().noneMatch(provider -> provider.name().equals(engine))) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "There is no engine '%s'. The engines are: %s, or %s to choose among them."
                            .formatted(engine, names(providers), EngineOptions.AUTO));
        }
        return providers.stream()
                .filter(provider -> auto || provider.name().equals(engine))
                .filter(EngineProvider::isAvailable)
                .findFirst()
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                        "%s on %s/%s. The engines are: %s; native needs its library built for this platform, java-llama.cpp needs the jar de.kherud:llama on the class path."
                                .formatted(
                                        auto ? "No engine runs" : "The engine '%s' does not run".formatted(engine),
                                        System.getProperty("os.name"),
                                        System.getProperty("os.arch"),
                                        names(providers))));
    }

    private static String names(List<EngineProvider> providers) {
        return providers.stream().map(EngineProvider::name).collect(Collectors.joining(", "));
    }
}
