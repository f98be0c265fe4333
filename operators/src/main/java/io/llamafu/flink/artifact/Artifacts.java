package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.InferenceEngine;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The model and the adapters of a job as local files, for as long as this is open. Caches and mirrors are shared by all
 * who ask for the same ones in this class loader, so that equal locations give equal paths, and so one engine.
 *
 * <pre>{@code
 * try (Artifacts artifacts = Artifacts.acquire(options)) {
 *     EngineOptions engine = EngineOptions.builder(artifacts.model()).build();
 * }
 * }</pre>
 */
@Internal
public final class Artifacts implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Artifacts.class);
    private static final Duration PRELOAD_PATIENCE = Duration.ofMinutes(10);
    private static final Shared<ArtifactCache.Settings, ArtifactCache> CACHES = new Shared<>();
    /** Models are large: what was found to be sound is not read again when a job restarts. */
    private static final SoundContents SOUND = new SoundContents();

    private static final Shared<AdapterMirror.Settings, AdapterMirror> MIRRORS = new Shared<>();

    private final ArtifactOptions options;
    private Optional<Shared<ArtifactCache.Settings, ArtifactCache>.Share> cache = Optional.empty();
    private Optional<Shared<AdapterMirror.Settings, AdapterMirror>.Share> mirror = Optional.empty();
    private Optional<AdapterMirror.Use> preloaded = Optional.empty();
    private Optional<Path> modelPin = Optional.empty();
    private ArtifactCache.Settings settings;
    private Path model;

    private Artifacts(ArtifactOptions options) {
        this.options = options;
    }

    /**
     * Fetches the model if it is remote and not in the cache, and lists remote adapters. Blocks meanwhile; an interrupt
     * ends it with an error.
     *
     * @throws LlamafuException with {@link ErrorCode#MODEL_NOT_FOUND} if there is no such model,
     *     {@link ErrorCode#INVALID_OPTION} if there is no such adapter folder or file system, or no usable cache, or a name
     *     stands for two adapters, and {@link ErrorCode#ARTIFACT_UNAVAILABLE} if a file system cannot be read or the cache has no room
     */
    public static Artifacts acquire(ArtifactOptions options) {
        Artifacts artifacts = new Artifacts(options);
        try {
            artifacts.open();
            return artifacts;
        } catch (RuntimeException | Error e) {
            artifacts.close();
            throw e;
        }
    }

    private void open() {
        Optional<RemoteAdapters> remote = options.remoteAdapters();
        if (options.model() instanceof Location.Remote || remote.isPresent()) {
            settings = new ArtifactCache.Settings(options.cacheFolder().prepare(), options.cacheBytes());
            cache = Optional.of(CACHES.acquire(
                    settings, missing -> ArtifactCache.open(missing, ArtifactCache.Tuning.standard(SOUND))));
        }
        model = openModel();
        if (remote.isPresent()) {
            AdapterMirror.Settings wanted =
                    new AdapterMirror.Settings(remote.get(), settings, options.remoteRefreshInterval());
            ArtifactCache files = cache.orElseThrow().value();
            mirror = Optional.of(MIRRORS.acquire(wanted, missing -> AdapterMirror.open(missing, files)));
            requireOneFileForEachName(mirror.get().value());
            preloaded = Optional.of(preload(mirror.get().value()));
        }
    }

    private void requireOneFileForEachName(AdapterMirror adapters) {
        options.localFiles().forEach((name, file) -> {
            if (adapters.lists(name)) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "The adapter '%s' is '%s' in adapters.files, and in %s too; take one of them away."
                                .formatted(name, file, adapters.described()));
            }
        });
    }

    /** The engine loads these when it is opened, so they are kept here even if no record asks for them. */
    private AdapterMirror.Use preload(AdapterMirror adapters) {
        List<String> names = options.preload().stream()
                .flatMap(stack -> MirroredEngine.remoteNames(stack, options::isRemote).stream())
                .distinct()
                .toList();
        CompletableFuture<AdapterMirror.Use> use = adapters.use(names);
        try {
            return get(use, adapters);
        } catch (ExecutionException e) {
            throw AdapterMirror.reason(e.getCause());
        } catch (TimeoutException | InterruptedException e) {
            if (e instanceof InterruptedException) {
                Thread.currentThread().interrupt();
            }
            CompletableFuture<Void> unused = use.thenAccept(AdapterMirror.Use::close);
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The adapters to preload, %s of %s, did not get on within %s, or the task was cancelled."
                            .formatted(names, adapters.described(), PRELOAD_PATIENCE),
                    e);
        }
    }

    /** Waits as long as bytes come. */
    private static AdapterMirror.Use get(CompletableFuture<AdapterMirror.Use> use, AdapterMirror adapters)
            throws ExecutionException, InterruptedException, TimeoutException {
        while (true) {
            long progress = adapters.progress();
            try {
                return use.get(PRELOAD_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                if (adapters.progress() == progress) {
                    throw e;
                }
            }
        }
    }

    private Path openModel() {
        if (options.model() instanceof Location.Local local) {
            return local.path();
        }
        URI uri = ((Location.Remote) options.model()).uri();
        ArtifactCache files = cache.orElseThrow().value();
        try {
            // A link keeps the content in the cache; the engine is given the content itself, which is one for all.
            Path pin = files.linkFolder("models").resolve(UUID.randomUUID().toString());
            String digest = files.link(uri, pin).digest();
            modelPin = Optional.of(pin);
            return files.fileOf(digest);
        } catch (IOException e) {
            throw ArtifactErrors.coded("model", uri, ErrorCode.MODEL_NOT_FOUND, e);
        }
    }

    /** The model file. */
    public Path model() {
        return model;
    }

    /** The folder that an engine reads adapters from. */
    public Optional<Path> adapters() {
        return options.adapters()
                .map(location -> location instanceof Location.Local local
                        ? local.path()
                        : mirror.orElseThrow().value().folder());
    }

    /** The files of the adapters that are named one by one; those of remote ones appear when they are asked for. */
    public Map<String, Path> adapterFiles() {
        Map<String, Path> files = options.localFiles();
        if (options.adapters().orElse(null) instanceof Location.Remote) {
            return files;
        }
        options.adapterFiles().keySet().stream()
                .filter(options::isRemote)
                .forEach(name -> files.put(name, mirror.orElseThrow().value().fileOf(name)));
        return files;
    }

    /** The engine for requests of this job: it waits for remote adapters. The engine itself if there are none. */
    public InferenceEngine over(InferenceEngine engine) {
        return mirror.isPresent() ? new MirroredEngine(engine, mirror.get().value(), options::isRemote) : engine;
    }

    /** A failure to open the engine, with the URI of a model that was fetched: its path says nothing to a user. */
    public LlamafuException explain(LlamafuException failure) {
        return options.model() instanceof Location.Remote remote
                ? new LlamafuException(
                        failure.code(),
                        "The model '%s', fetched to '%s': %s".formatted(remote.uri(), model, failure.getMessage()),
                        failure)
                : failure;
    }

    /** Idempotent; does not throw. */
    @Override
    public void close() {
        preloaded.ifPresent(AdapterMirror.Use::close);
        mirror.ifPresent(Shared.Share::close);
        modelPin.ifPresent(pin -> {
            try {
                Files.deleteIfExists(pin);
            } catch (IOException e) {
                LOG.warn("{} could not be deleted; the cache keeps the model until this process ends.", pin, e);
            }
        });
        cache.ifPresent(Shared.Share::close);
    }
}
