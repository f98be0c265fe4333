package io.llamafu.flink.artifact;

import io.llamafu.adapter.AdapterStack;
import org.apache.flink.annotation.Internal;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * What a job needs on this machine, and where to keep what must be fetched.
 *
 * @param model a GGUF file
 * @param adapters a folder of GGUF files
 * @param cacheFolder where fetched files lie, on one local file system
 * @param cacheBytes the most bytes of fetched files; 0 is no limit
 * @param refreshInterval how often a remote adapter folder is listed
 * @param preload stacks whose adapters must be here from the beginning
 * @param ownFiles names of adapters that have local files of their own, outside of the folder
 */
@Internal
public record ArtifactOptions(
        Location model,
        Optional<Location> adapters,
        Path cacheFolder,
        long cacheBytes,
        Duration refreshInterval,
        List<AdapterStack> preload,
        Set<String> ownFiles) {
    public ArtifactOptions {
        checkNotNull(model, "model is null");
        checkNotNull(adapters, "adapters is null");
        cacheFolder = checkNotNull(cacheFolder, "cacheFolder is null")
                .toAbsolutePath()
                .normalize();
        checkNotNull(refreshInterval, "refreshInterval is null");
        preload = List.copyOf(preload);
        ownFiles = Set.copyOf(ownFiles);
    }
}
