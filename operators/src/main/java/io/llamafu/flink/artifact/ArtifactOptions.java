package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterStack;
import org.apache.flink.annotation.Internal;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * What a job needs on this machine, and where to keep what must be fetched.
 *
 * @param model a GGUF file
 * @param adapters a folder of GGUF files
 * @param adapterFiles further adapters, by name
 * @param cacheFolder where fetched files lie, on one local file system
 * @param cacheBytes the most bytes of fetched files; 0 is no limit
 * @param refreshInterval how often adapters are looked for; remote ones at most once a second
 * @param preload stacks whose adapters must be here from the beginning
 */
@Internal
public record ArtifactOptions(
        Location model,
        Optional<Location> adapters,
        Map<String, Location> adapterFiles,
        CacheFolder cacheFolder,
        long cacheBytes,
        Duration refreshInterval,
        List<AdapterStack> preload) {
    private static final Duration LEAST_REMOTE_INTERVAL = Duration.ofSeconds(1);

    public ArtifactOptions {
        checkNotNull(model, "model is null");
        checkNotNull(adapters, "adapters is null");
        adapterFiles = Map.copyOf(adapterFiles);
        adapterFiles.forEach((name, location) -> AdapterName.checkOption(name, written(location)));
        checkNotNull(cacheFolder, "cacheFolder is null");
        checkNotNull(refreshInterval, "refreshInterval is null");
        preload = List.copyOf(preload);
    }

    /** How often a remote file system is asked: an interval of 0 would mean all the time. */
    Duration remoteRefreshInterval() {
        return refreshInterval.compareTo(LEAST_REMOTE_INTERVAL) < 0 ? LEAST_REMOTE_INTERVAL : refreshInterval;
    }

    private static Object written(Location location) {
        return location instanceof Location.Local local ? local.path() : ((Location.Remote) location).uri();
    }

    /** Whether the adapter of a name, if there is one, has to be fetched. */
    boolean isRemote(String name) {
        Location named = adapterFiles.get(name);
        return named == null ? adapters.orElse(null) instanceof Location.Remote : named instanceof Location.Remote;
    }

    /** What of the adapters is remote; empty if nothing is. */
    Optional<RemoteAdapters> remoteAdapters() {
        Optional<URI> folder = adapters.flatMap(ArtifactOptions::remoteUri);
        SortedMap<String, URI> files = new TreeMap<>();
        adapterFiles.forEach((name, location) -> remoteUri(location).ifPresent(uri -> files.put(name, uri)));
        return folder.isPresent() || !files.isEmpty()
                ? Optional.of(new RemoteAdapters(folder, files))
                : Optional.empty();
    }

    private static Optional<URI> remoteUri(Location location) {
        return location instanceof Location.Remote remote ? Optional.of(remote.uri()) : Optional.empty();
    }

    /** The adapters that are on this machine anyway. */
    private AdapterCatalog localAdapters() {
        Optional<Path> folder = adapters.filter(Location.Local.class::isInstance)
                .map(Location.Local.class::cast)
                .map(Location.Local::path);
        return new AdapterCatalog(folder, localFiles(), refreshInterval);
    }

    /** Of the adapters that are named one by one, those on this machine. */
    Map<String, Path> localFiles() {
        Map<String, Path> files = new HashMap<>();
        adapterFiles.forEach((name, location) -> {
            if (location instanceof Location.Local local) {
                files.put(name, local.path());
            }
        });
        return files;
    }

    /**
     * Tells whether there is an adapter of a name, and fetches none. For remote adapters it throws a {@link
     * LlamafuException} with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if the file system cannot be asked, and believes what
     * it was told for the refresh interval. For one thread.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if a local folder is none
     */
    public Predicate<String> adapterNames() {
        AdapterCatalog local = localAdapters();
        Predicate<String> remote = remoteAdapters()
                .<Predicate<String>>map(
                        adapters -> new RemoteAdapterNames(adapters, remoteRefreshInterval(), System::nanoTime))
                .orElse(name -> false);
        return name -> isRemote(name) ? remote.test(name) : local.contains(name);
    }
}
