package io.llamafu.flink.artifact;

import io.llamafu.Durations;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.LocalAdapters;
import org.apache.flink.annotation.Internal;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The files that a job needs on this machine, and where to keep fetched ones.
 *
 * @param model a GGUF file
 * @param adapters a folder of GGUF files
 * @param adapterFiles additional adapters by name
 * @param cacheFolder for fetched files, on one local file system
 * @param cacheBytes the most bytes of fetched files; 0 is no limit
 * @param refreshInterval how often adapters are looked up; remote ones at most once a second
 */
@Internal
public record ArtifactOptions(
        Location model,
        Optional<Location> adapters,
        Map<String, Location> adapterFiles,
        CacheFolder cacheFolder,
        long cacheBytes,
        Duration refreshInterval) {
    private static final Duration LEAST_REMOTE_INTERVAL = Duration.ofSeconds(1);

    public ArtifactOptions {
        checkNotNull(model, "model is null");
        checkNotNull(adapters, "adapters is null");
        adapterFiles = Map.copyOf(adapterFiles);
        adapterFiles.forEach((name, location) -> AdapterName.checkOption(name, written(location)));
        checkNotNull(cacheFolder, "cacheFolder is null");
        refreshInterval = Durations.countable(checkNotNull(refreshInterval, "refreshInterval is null"));
    }

    /** The interval for remote file systems, which an interval of 0 would ask continuously. */
    Duration remoteRefreshInterval() {
        return refreshInterval.compareTo(LEAST_REMOTE_INTERVAL) < 0 ? LEAST_REMOTE_INTERVAL : refreshInterval;
    }

    private static Object written(Location location) {
        return location instanceof Location.Local local ? local.path() : ((Location.Remote) location).uri();
    }

    boolean isAnythingRemote() {
        return model instanceof Location.Remote || !remoteFiles().isEmpty();
    }

    /**
     * The adapters. The source can look up names, but cannot be opened if some adapters are remote: see {@link
     * JobFiles}.
     */
    public AdapterSource adapterSource() {
        return adapterSource(cacheSettings(cacheFolder.path()));
    }

    AdapterSource adapterSource(ArtifactCache.Settings cache) {
        LocalAdapters local = new LocalAdapters(
                adapters.filter(Location.Local.class::isInstance)
                        .map(Location.Local.class::cast)
                        .map(Location.Local::path),
                localFiles());
        RemoteFiles remote = remoteFiles();
        return remote.isEmpty()
                ? local
                : new RemoteAdapters(remote, local, cache, remoteRefreshInterval(), StoreThreads.STALLED);
    }

    /** @param folder with all links resolved, so that equal folders have one cache */
    ArtifactCache.Settings cacheSettings(Path folder) {
        return new ArtifactCache.Settings(folder, cacheBytes);
    }

    private RemoteFiles remoteFiles() {
        SortedMap<String, URI> files = new TreeMap<>();
        adapterFiles.forEach((name, location) -> remoteUri(location).ifPresent(uri -> files.put(name, uri)));
        return new RemoteFiles(adapters.flatMap(ArtifactOptions::remoteUri), files);
    }

    private static Optional<URI> remoteUri(Location location) {
        return location instanceof Location.Remote remote ? Optional.of(remote.uri()) : Optional.empty();
    }

    /** The files of {@code adapters.files} on this machine. */
    private Map<String, Path> localFiles() {
        Map<String, Path> files = new HashMap<>();
        adapterFiles.forEach((name, location) -> {
            if (location instanceof Location.Local local) {
                files.put(name, local.path());
            }
        });
        return files;
    }
}
