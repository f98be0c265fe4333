package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.engine.EngineOptions;
import io.llamafu.flink.artifact.ArtifactOptions;
import io.llamafu.flink.artifact.CacheFolder;
import io.llamafu.flink.artifact.Location;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** What the options of a job say about its engine: the model, the adapters, and how they are computed. */
final class EngineSettings {
    private final ReadableConfig configuration;

    EngineSettings(ReadableConfig configuration) {
        this.configuration = checkNotNull(configuration, "configuration is null");
    }

    /** With files of this machine. */
    EngineOptions local() {
        return engineOptions(
                localPath(LlamafuConfigOptions.MODEL.key(), configuration.get(LlamafuConfigOptions.MODEL)),
                Optional.empty(),
                localAdapters(),
                OptionalInt.empty());
    }

    EngineOptions engineOptions(Path model, Optional<String> modelDigest, AdapterSource adapters, OptionalInt gpu) {
        EngineOptions.Builder engine = EngineOptions.builder(model)
                .adapters(adapters)
                .engine(configuration.get(LlamafuConfigOptions.ENGINE))
                .contextSize(configuration.get(LlamafuConfigOptions.CONTEXT_SIZE))
                .parallelSequences(configuration.get(LlamafuConfigOptions.PARALLEL_SEQUENCES))
                .batchSize(configuration.get(LlamafuConfigOptions.BATCH_SIZE))
                .gpuLayers(configuration.get(LlamafuConfigOptions.GPU_LAYERS))
                .modelLoading(configuration.get(LlamafuConfigOptions.MODEL_LOADING))
                .packedWeights(configuration.get(LlamafuConfigOptions.PACKED_WEIGHTS))
                .deterministic(configuration.get(LlamafuConfigOptions.DETERMINISTIC))
                .memoryBudget(
                        configuration.get(LlamafuConfigOptions.MEMORY_BUDGET).getBytes())
                .adapterRefreshInterval(localRefreshInterval())
                .adapterPreload(preloaded())
                .loraBatching(configuration.get(LlamafuConfigOptions.LORA_BATCHING))
                .maxAdaptersPerBatch(configuration.get(LlamafuConfigOptions.MAX_ADAPTERS_PER_BATCH))
                .prefixSharing(configuration.get(LlamafuConfigOptions.PREFIX_SHARING))
                .answerMemo(configuration.get(LlamafuConfigOptions.ANSWER_MEMO).getBytes())
                .idleTimeout(configuration.get(LlamafuConfigOptions.IDLE_TIMEOUT));
        if (configuration.get(LlamafuConfigOptions.GPU_LAYERS) != 0) {
            gpu.ifPresent(engine::gpuDevice);
        }
        configuration.getOptional(LlamafuConfigOptions.THREADS).ifPresent(engine::threads);
        modelDigest.ifPresent(engine::modelDigest);
        configuration
                .getOptional(LlamafuConfigOptions.ADAPTERS_MEMORY_BUDGET)
                .map(MemorySize::getBytes)
                .ifPresent(engine::adapterMemoryBudget);
        return engine.build();
    }

    private List<AdapterStack> preloaded() {
        return configuration.get(LlamafuConfigOptions.ADAPTERS_PRELOAD).stream()
                .map(EngineSettings::preloaded)
                .toList();
    }

    private static AdapterStack preloaded(String stack) {
        try {
            return AdapterStack.parse(stack);
        } catch (LlamafuException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "%s: %s".formatted(LlamafuConfigOptions.ADAPTERS_PRELOAD.key(), e.sentence()),
                    e);
        }
    }

    /** Remote adapters are listed at the interval; lookups are cached for less, or the two delays would add up. */
    private Duration localRefreshInterval() {
        Duration interval = configuration.get(LlamafuConfigOptions.ADAPTERS_REFRESH_INTERVAL);
        boolean remote = adapterLocations().anyMatch(Location.Remote.class::isInstance);
        return remote && interval.compareTo(AdapterCatalog.DEFAULT_REFRESH_INTERVAL) > 0
                ? AdapterCatalog.DEFAULT_REFRESH_INTERVAL
                : interval;
    }

    private LocalAdapters localAdapters() {
        Optional<Path> folder = configuration
                .getOptional(LlamafuConfigOptions.ADAPTERS)
                .map(location -> localPath(LlamafuConfigOptions.ADAPTERS.key(), location));
        Map<String, Path> files = new HashMap<>();
        configuration
                .get(LlamafuConfigOptions.ADAPTERS_FILES)
                .forEach((name, location) ->
                        files.put(name, localPath(LlamafuConfigOptions.ADAPTERS_FILES.key(), location)));
        return new LocalAdapters(folder, files);
    }

    private static Path localPath(String key, String location) {
        if (Location.parse(key, location) instanceof Location.Local local) {
            return local.path();
        }
        throw new LlamafuException(
                ErrorCode.INVALID_OPTION,
                "%s is '%s', which is not on this machine: only a job fetches files.".formatted(key, location));
    }

    ArtifactOptions artifacts(Path temporaryFolder) {
        return new ArtifactOptions(
                Location.parse(LlamafuConfigOptions.MODEL.key(), configuration.get(LlamafuConfigOptions.MODEL)),
                adapterFolder(),
                adapterFiles(),
                configuration
                        .getOptional(LlamafuConfigOptions.CACHE_DIR)
                        .map(folder -> CacheFolder.at(Path.of(folder)))
                        .orElse(CacheFolder.in(temporaryFolder)),
                configuration.get(LlamafuConfigOptions.CACHE_MAX_SIZE).getBytes(),
                configuration.get(LlamafuConfigOptions.ADAPTERS_REFRESH_INTERVAL));
    }

    private Stream<Location> adapterLocations() {
        return Stream.concat(adapterFolder().stream(), adapterFiles().values().stream());
    }

    private Optional<Location> adapterFolder() {
        return configuration
                .getOptional(LlamafuConfigOptions.ADAPTERS)
                .map(folder -> Location.parse(LlamafuConfigOptions.ADAPTERS.key(), folder));
    }

    private Map<String, Location> adapterFiles() {
        Map<String, Location> files = new HashMap<>();
        configuration
                .get(LlamafuConfigOptions.ADAPTERS_FILES)
                .forEach((name, location) ->
                        files.put(name, Location.parse(LlamafuConfigOptions.ADAPTERS_FILES.key(), location)));
        return files;
    }
}
