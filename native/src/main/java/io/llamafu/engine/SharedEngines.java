package io.llamafu.engine;

import com.sun.management.OperatingSystemMXBean;
import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

import static java.util.Objects.requireNonNull;

/**
 * One engine per set of options in a JVM, shared by all subtasks and jobs. After its last user, an engine stays open
 * for its idle timeout, so that a restarted job need not load the model again, or until another engine is opened that
 * would not fit beside it.
 *
 * <p>Each class loader that loads these classes has its own engines, which must be closed before it ends: see {@link
 * #closeAll}.
 */
public final class SharedEngines {
    private static final Logger LOG = LoggerFactory.getLogger(SharedEngines.class);
    /** An engine in a separate artifact. */
    private static final String JAVA_LLAMA_CPP = "java-llama.cpp";

    private static final String JAVA_LLAMA_CPP_CURE =
            "For java-llama.cpp add the artifact io.llamafu:llamafu-java-llama-cpp and its dependency de.kherud:llama where"
                    + " Llamafu's own jar is: to lib/, or to the jar of the job.";
    /** If the class path itself cannot be read, the iterator fails each time. */
    private static final int MOST_BROKEN_PROVIDERS = 100;

    private static final AtomicLong RESERVED = new AtomicLong();
    private static final EngineRegistry REGISTRY =
            new EngineRegistry(SharedEngines::provider, SharedEngines::availableBytes);

    private SharedEngines() {}

    /** A share of an engine. */
    public static final class Lease implements AutoCloseable {
        private final InferenceEngine engine;
        private final boolean opened;
        private final Runnable release;
        private final AtomicBoolean closed = new AtomicBoolean();

        /**
         * A share that is given back once.
         *
         * @param release gives it back
         */
        public Lease(InferenceEngine engine, boolean opened, Runnable release) {
            this.engine = requireNonNull(engine, "engine is null");
            this.opened = opened;
            this.release = requireNonNull(release, "release is null");
        }

        public InferenceEngine engine() {
            return engine;
        }

        /** Whether this lease opened the engine instead of joining it. */
        public boolean opened() {
            return opened;
        }

        /** Returns the share; the last one starts the idle timeout. Idempotent. */
        @Override
        public void close() {
            if (closed.compareAndSet(false, true)) {
                release.run();
            }
        }
    }

    /** The current memory of an engine. */
    public record Usage(EngineOptions options, EngineMetrics.Memory memory) {}

    /**
     * Opens the engine of these options, or joins it if it is open. Loading a model takes seconds to minutes; other
     * callers with the same options wait for it, until they are interrupted.
     *
     * <p>First closes idle engines if the new one would not fit beside them: into the memory of the process, or into
     * its memory budget, which idle engines count against.
     *
     * @throws LlamafuException if it cannot be opened
     */
    public static Lease acquire(EngineOptions options) {
        return REGISTRY.acquire(requireNonNull(options, "options is null"));
    }

    /**
     * Refuses what no engine of these options could open, as {@link EngineProvider#inspect}, here or where the library of
     * the engine is.
     *
     * @return what the model's file says about conversations; empty if the engine is not on this class path
     */
    public static Optional<ModelChat> inspect(EngineOptions options) {
        return providers(SharedEngines.class.getClassLoader()).stream()
                .filter(provider -> isMeant(options.engine(), provider))
                .findFirst()
                .map(provider -> provider.inspect(options));
    }

    private static boolean isMeant(String engine, EngineProvider provider) {
        return engine.equals(EngineOptions.AUTO) || provider.name().equals(engine);
    }

    /**
     * What the engine of these options would allocate, without adapters. Loads no weights.
     *
     * @throws LlamafuException if it could not be opened
     */
    public static EngineMetrics.Memory plannedMemory(EngineOptions options) {
        return provider(options).plannedMemory(options);
    }

    /** The number of engines that this class loader has opened so far, each with its own model. */
    public static long openedEngines() {
        return REGISTRY.openedCount();
    }

    /** The memory of the engines of this class loader now, of those that are kept warm too. */
    public static List<Usage> usage() {
        return REGISTRY.usage();
    }

    /**
     * The memory that the heap, other uses and other engines of this class loader leave for the engine of these options, in
     * bytes. Other engines count with all adapters that their budgets allow.
     */
    public static long bytesLeftFor(EngineOptions options) {
        return REGISTRY.bytesLeftFor(options);
    }

    /** Reserves memory outside the heap for other uses, in bytes, which engines leave free. */
    public static void reserve(long bytes) {
        RESERVED.set(bytes);
    }

    /**
     * Closes all engines of this class loader, in use or not. For a class loader that ends, after which the code to
     * close them could not be loaded.
     *
     * @param patience how long to wait; engines that are not closed by then are closed later, if possible
     */
    public static void closeAll(Duration patience) {
        Thread closer = DaemonThreads.start("llamafu-close-engines", REGISTRY::closeAll);
        try {
            closer.join(patience.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The memory of the machine, or of the container if that has a limit, minus the maximum heap. */
    private static long availableBytes() {
        // The JVM respects the limits of control groups, version 1 and 2.
        OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
        return system.getTotalMemorySize() - Runtime.getRuntime().maxMemory() - RESERVED.get();
    }

    private static EngineProvider provider(EngineOptions options) {
        return choose(options.engine(), providers(SharedEngines.class.getClassLoader()));
    }

    /**
     * The providers that a class loader finds, the highest priority first. One that was loaded by another class loader than
     * this class, or cannot be loaded, is left out, as it must not keep the others from a job.
     */
    static List<EngineProvider> providers(ClassLoader loader) {
        List<EngineProvider> providers = new ArrayList<>();
        Iterator<EngineProvider> found =
                ServiceLoader.load(EngineProvider.class, loader).iterator();
        int failures = 0;
        while (failures < MOST_BROKEN_PROVIDERS) {
            try {
                if (!found.hasNext()) {
                    break;
                }
                providers.add(found.next());
            } catch (ServiceConfigurationError | LinkageError e) {
                failures++;
                LOG.warn(
                        "An engine cannot be used. Its jar must be where Llamafu's own jar is: in lib/, or in the job.",
                        e);
            }
        }
        providers.sort(Comparator.comparingInt(EngineProvider::priority).reversed());
        return providers;
    }

    /**
     * The provider of an engine.
     *
     * @param engine a name, or {@link EngineOptions#AUTO}
     * @param providers the highest priority first
     * @throws LlamafuException with INVALID_OPTION if there is no engine of that name, NATIVE_LIBRARY_UNAVAILABLE if it
     *     does not run here or its artifact is missing
     */
    static EngineProvider choose(String engine, List<EngineProvider> providers) {
        boolean auto = engine.equals(EngineOptions.AUTO);
        if (!auto && providers.stream().noneMatch(provider -> provider.name().equals(engine))) {
            if (engine.equals(JAVA_LLAMA_CPP)) {
                throw new LlamafuException(
                        ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                        "The engine '%s' is not on the class path. %s".formatted(engine, JAVA_LLAMA_CPP_CURE));
            }
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "There is no engine '%s'. The engines are: %s, or %s to choose among them."
                            .formatted(engine, names(providers), EngineOptions.AUTO));
        }
        return providers.stream()
                .filter(provider -> isMeant(engine, provider))
                .filter(EngineProvider::isAvailable)
                .findFirst()
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                        "%s on %s/%s. The engines are: %s; native needs its library built for this platform. %s"
                                .formatted(
                                        auto ? "No engine runs" : "The engine '%s' does not run".formatted(engine),
                                        System.getProperty("os.name"),
                                        System.getProperty("os.arch"),
                                        names(providers),
                                        JAVA_LLAMA_CPP_CURE)));
    }

    private static String names(List<EngineProvider> providers) {
        return providers.stream().map(EngineProvider::name).collect(Collectors.joining(", "));
    }
}
