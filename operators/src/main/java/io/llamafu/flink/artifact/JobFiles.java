package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource;
import org.apache.flink.annotation.Internal;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeoutException;

/**
 * The model of a job as a local file, for as long as this is open, and the source of its adapters. Equal locations give
 * equal values in a class loader, and so share one engine, which opens the adapters itself.
 *
 * <pre>{@code
 * try (JobFiles files = JobFiles.acquire(options)) {
 *     EngineOptions engine = EngineOptions.builder(files.model()).adapters(files.adapters()).build();
 * }
 * }</pre>
 */
@Internal
public final class JobFiles implements AutoCloseable {
    private static final Set<ErrorCode> OF_THE_MODEL =
            EnumSet.of(ErrorCode.MODEL_NOT_FOUND, ErrorCode.MODEL_INVALID, ErrorCode.MODEL_LOAD_FAILED);

    private final Optional<URI> modelUri;
    private final Path model;
    private final Optional<String> modelDigest;
    private final AdapterSource adapters;
    private final Runnable release;

    private JobFiles(
            Optional<URI> modelUri,
            Path model,
            Optional<String> modelDigest,
            AdapterSource adapters,
            Runnable release) {
        this.modelUri = modelUri;
        this.model = model;
        this.modelDigest = modelDigest;
        this.adapters = adapters;
        this.release = release;
    }

    /**
     * Fetches the model if it is remote and not in the cache. Blocks; an interrupt ends it with an error.
     *
     * @throws LlamafuException with {@link ErrorCode#MODEL_NOT_FOUND} if there is no such model, {@link
     *     ErrorCode#INVALID_OPTION} if there is no such file system or the cache cannot be used, and {@link
     *     ErrorCode#ARTIFACT_UNAVAILABLE} if the file system cannot be read or hangs, or the cache has no room
     */
    public static JobFiles acquire(ArtifactOptions options) {
        if (!options.isAnythingRemote()) {
            Path model = ((Location.Local) options.model()).path();
            return new JobFiles(Optional.empty(), model, Optional.empty(), options.adapterSource(), () -> {});
        }
        ArtifactCache.Settings settings =
                options.cacheSettings(options.cacheFolder().prepare());
        AdapterSource adapters = options.adapterSource(settings);
        if (options.model() instanceof Location.Local local) {
            return new JobFiles(Optional.empty(), local.path(), Optional.empty(), adapters, () -> {});
        }
        URI uri = ((Location.Remote) options.model()).uri();
        Shared<ArtifactCache.Settings, ArtifactCache>.Share cache = ArtifactCache.shared(settings);
        try {
            ArtifactCache.Pin pin = fetch(cache.value(), uri);
            return new JobFiles(Optional.of(uri), pin.content(), Optional.of(pin.digest()), adapters, () -> {
                pin.close();
                cache.close();
            });
        } catch (RuntimeException | Error e) {
            cache.close();
            throw e;
        }
    }

    private static ArtifactCache.Pin fetch(ArtifactCache cache, URI uri) {
        try {
            return StoreThreads.call(
                    "llamafu-model-fetch", StoreThreads.STALLED, progress -> cache.pin(RemoteFile.at(uri), progress));
        } catch (IOException e) {
            throw ArtifactErrors.coded("model", uri, ErrorCode.MODEL_NOT_FOUND, e);
        } catch (TimeoutException e) {
            throw ArtifactErrors.hangs("Fetching the model '%s'".formatted(uri));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The task was cancelled while the model '%s' was fetched.".formatted(uri),
                    e);
        }
    }

    /** The model file. */
    public Path model() {
        return model;
    }

    /** The SHA-256 of the model file, which the cache has verified; empty for a local file, whose digest the engine computes. */
    public Optional<String> modelDigest() {
        return modelDigest;
    }

    /** The source of the adapters; each engine opens it for itself. */
    public AdapterSource adapters() {
        return adapters;
    }

    /** A failure to open the engine, with the URI of a fetched model, because its path means nothing to users. */
    public LlamafuException explain(LlamafuException failure) {
        boolean ofTheModel =
                OF_THE_MODEL.contains(failure.code()) || failure.sentence().contains(model.toString());
        return modelUri.filter(uri -> ofTheModel)
                .map(uri -> new LlamafuException(
                        failure.code(),
                        "The model '%s', fetched to '%s': %s".formatted(uri, model, failure.sentence()),
                        failure))
                .orElse(failure);
    }

    /** Idempotent; does not throw. */
    @Override
    public void close() {
        release.run();
    }
}
