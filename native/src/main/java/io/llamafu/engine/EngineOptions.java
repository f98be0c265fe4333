package io.llamafu.engine;

import io.llamafu.Durations;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.regex.Pattern;

import static java.util.Objects.requireNonNull;

/**
 * The options of an engine. Equal options share one engine in {@link SharedEngines}.
 *
 * @param model the GGUF model file
 * @param modelDigest the SHA-256 of the model file, if it is known; else the engine computes it while it loads the model
 * @param adapters the source of the adapters, which the engine opens
 * @param engine {@link #AUTO}, or the {@link EngineProvider#name() name} of the engine to use
 * @param contextSize the most tokens of one sequence, prompt and answer; limited by the context the model was trained
 *     for. The key-value cache has this many cells for each of the parallel sequences
 * @param parallelSequences the most sequences decoded in one batch, 1 to 256
 * @param batchSize the most tokens of one decode step, prefill and decode together
 * @param threads CPU threads of a decode step
 * @param gpuLayers layers held by a GPU; 0 is CPU only, -1 is all
 * @param gpuDevice the GPU that holds those layers, numbered from 0 by the backend; empty spreads them over all GPUs,
 *     or uses the CPU if there is none. Ignored without layers for a GPU
 * @param modelLoading whether the model is read into memory or its file is mapped
 * @param packedWeights whether weights that are read into memory are laid out for the engine's own kernels, where the engine
 *     has some
 * @param deterministic whether the bits of an answer depend on the model, the adapters and the request only, whatever else is
 *     in its batch; an engine, machine or model that cannot give that is refused
 * @param memoryBudget the most bytes for weights, cache and scratch; 0 is no limit
 * @param adapterMemoryBudget the most bytes for adapters; 0 is no limit. Empty leaves it to the engine, which takes half of
 *     the memory that is left when it is opened, see {@link EngineMetrics.Adapters#budget}
 * @param adapterRefreshInterval how long the lookup of an adapter name is cached; 0 looks at the file for every request
 * @param adapterPreload stacks whose adapters are loaded when the engine is opened, all together; if that fails, it is
 *     not opened
 * @param loraBatching whether sequences with different stacks share a batch
 * @param maxAdaptersPerBatch the most distinct adapters among the running sequences, 1 or more; every step reads the
 *     weights of each
 * @param prefixSharing whether prompts that begin alike, under the same stack, share the prefill of that beginning
 * @param answerMemo the most JVM heap for stored answers, in bytes, so that the model is asked once for identical
 *     requests; 0 is off
 * @param idleTimeout how long {@link SharedEngines} keeps the engine after its last user
 */
public record EngineOptions(
        Path model,
        Optional<String> modelDigest,
        AdapterSource adapters,
        String engine,
        int contextSize,
        int parallelSequences,
        int batchSize,
        int threads,
        int gpuLayers,
        OptionalInt gpuDevice,
        ModelLoading modelLoading,
        boolean packedWeights,
        boolean deterministic,
        long memoryBudget,
        OptionalLong adapterMemoryBudget,
        Duration adapterRefreshInterval,
        List<AdapterStack> adapterPreload,
        LoraBatching loraBatching,
        int maxAdaptersPerBatch,
        boolean prefixSharing,
        long answerMemo,
        Duration idleTimeout) {

    /** Far more than any machine computes in one step, yet small enough that per-row sizes do not overflow. */
    private static final int MOST_BATCH = 1 << 20;

    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");

    /** The available engine of the highest priority. */
    public static final String AUTO = "auto";

    /** How weights get into host memory. */
    public enum ModelLoading {
        /** Read into private memory; later changes of the file have no effect. */
        READ,
        /**
         * The file is mapped: engines and processes that map the same file share its memory. It must not be changed
         * while it is in use; if it is truncated, the system ends the process.
         */
        MAP
    }

    /** How sequences with different adapter stacks are decoded. */
    public enum LoraBatching {
        /** All in one batch, each row with its own adapters. */
        MIXED,
        /** One decode call per stack in every step, which is what llama.cpp supports on its own. */
        GROUPED
    }

    public EngineOptions {
        requireNonNull(model, "model is null");
        requireNonNull(modelDigest, "modelDigest is null");
        require(
                modelDigest.isEmpty() || SHA256.matcher(modelDigest.get()).matches(),
                "the digest of the model",
                modelDigest.orElse(""),
                "64 hexadecimal digits in lower case");
        requireNonNull(adapters, "adapters is null");
        requireNonNull(engine, "engine is null");
        require(!engine.isBlank(), "engine", "'" + engine + "'", "auto or the name of an engine");
        require(contextSize >= 8, "context-size", contextSize, "at least 8 tokens");
        require(
                parallelSequences >= 1 && parallelSequences <= 256,
                "parallel-sequences",
                parallelSequences,
                "between 1 and 256");
        require(
                batchSize >= parallelSequences && batchSize <= MOST_BATCH,
                "batch-size",
                batchSize,
                "at least parallel-sequences (" + parallelSequences + "), one token for each sequence, and at most "
                        + MOST_BATCH);
        require(threads >= 1 && threads <= 512, "threads", threads, "between 1 and 512");
        require(gpuLayers >= -1, "gpu-layers", gpuLayers, "-1 (all), 0 (none) or more");
        requireNonNull(gpuDevice, "gpuDevice is null");
        require(gpuDevice.orElse(0) >= 0, "the GPU's index", gpuDevice, "0 or more");
        requireNonNull(modelLoading, "modelLoading is null");
        require(!deterministic || packedWeights, "packed-weights", "false", "true while deterministic is");
        require(!deterministic || gpuLayers == 0, "gpu-layers", gpuLayers, "0 while deterministic is true");
        require(
                !deterministic || modelLoading == ModelLoading.READ,
                "model-loading",
                modelLoading,
                "read while deterministic is true");
        require(
                !deterministic || loraBatching == LoraBatching.MIXED,
                "lora-batching",
                loraBatching,
                "mixed while deterministic is true");
        require(memoryBudget >= 0, "memory-budget", memoryBudget, "0 (no limit) or more bytes");
        requireNonNull(adapterMemoryBudget, "adapterMemoryBudget is null");
        require(
                adapterMemoryBudget.orElse(0) >= 0,
                "adapters.memory-budget",
                adapterMemoryBudget.orElse(0),
                "0 (no limit) or more bytes");
        requireNonNull(adapterRefreshInterval, "adapterRefreshInterval is null");
        require(!adapterRefreshInterval.isNegative(), "adapters.refresh-interval", adapterRefreshInterval, "0 or more");
        adapterPreload = List.copyOf(adapterPreload);
        requireNonNull(loraBatching, "loraBatching is null");
        require(maxAdaptersPerBatch >= 1, "max-adapters-per-batch", maxAdaptersPerBatch, "1 or more");
        require(answerMemo >= 0, "answer-memo", answerMemo, "0 (off) or more bytes");
        requireNonNull(idleTimeout, "idleTimeout is null");
        require(!idleTimeout.isNegative(), "idle-timeout", idleTimeout, "0 or more");
        idleTimeout = Durations.countable(idleTimeout);
    }

    private static void require(boolean condition, String option, Object value, String range) {
        if (!condition) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION, "%s is %s, but must be %s.".formatted(option, value, range));
        }
    }

    /**
     * Starts from the defaults: engine auto, 16 sequences of 2048 tokens, batches of 512 tokens, all processors, no
     * GPU, no memo.
     */
    public static Builder builder(Path model) {
        return new Builder(model);
    }

    /** Mutable and not thread-safe. Ranges are checked by {@link #build()}. */
    public static final class Builder {
        private final Path model;
        private Optional<String> modelDigest = Optional.empty();
        private Optional<Path> adapterFolder = Optional.empty();
        private final Map<String, Path> adapterFiles = new HashMap<>();
        private Optional<AdapterSource> adapters = Optional.empty();
        private String engine = AUTO;
        private int contextSize = 2048;
        private int parallelSequences = 16;
        private int batchSize = 512;
        private int threads = Runtime.getRuntime().availableProcessors();
        private int gpuLayers = 0;
        private OptionalInt gpuDevice = OptionalInt.empty();
        private ModelLoading modelLoading = ModelLoading.READ;
        private boolean packedWeights = true;
        private boolean deterministic = false;
        private long memoryBudget = 0;
        private OptionalLong adapterMemoryBudget = OptionalLong.empty();
        private Duration adapterRefreshInterval = AdapterCatalog.DEFAULT_REFRESH_INTERVAL;
        private List<AdapterStack> adapterPreload = List.of();
        private LoraBatching loraBatching = LoraBatching.MIXED;
        private int maxAdaptersPerBatch = 128;
        private boolean prefixSharing = true;
        private long answerMemo = 0;
        private Duration idleTimeout = Duration.ofSeconds(60);

        private Builder(Path model) {
            this.model = requireNonNull(model, "model is null");
        }

        public Builder modelDigest(String sha256) {
            this.modelDigest = Optional.of(sha256);
            return this;
        }

        /** A folder of which every {@code NAME.gguf} is the adapter NAME. */
        public Builder adapters(Path folder) {
            this.adapterFolder = Optional.of(folder);
            return this;
        }

        /** Any source of adapters, in place of a folder and files. */
        public Builder adapters(AdapterSource source) {
            this.adapters = Optional.of(source);
            return this;
        }

        /** Adds an adapter from outside the folder, or replaces one added before. */
        public Builder adapter(String name, Path file) {
            adapterFiles.put(requireNonNull(name, "name is null"), requireNonNull(file, "file is null"));
            return this;
        }

        public Builder engine(String engine) {
            this.engine = requireNonNull(engine, "engine is null");
            return this;
        }

        public Builder contextSize(int contextSize) {
            this.contextSize = contextSize;
            return this;
        }

        public Builder parallelSequences(int parallelSequences) {
            this.parallelSequences = parallelSequences;
            return this;
        }

        public Builder batchSize(int batchSize) {
            this.batchSize = batchSize;
            return this;
        }

        public Builder threads(int threads) {
            this.threads = threads;
            return this;
        }

        public Builder gpuLayers(int gpuLayers) {
            this.gpuLayers = gpuLayers;
            return this;
        }

        public Builder gpuDevice(int gpuDevice) {
            this.gpuDevice = OptionalInt.of(gpuDevice);
            return this;
        }

        public Builder modelLoading(ModelLoading modelLoading) {
            this.modelLoading = modelLoading;
            return this;
        }

        public Builder packedWeights(boolean packedWeights) {
            this.packedWeights = packedWeights;
            return this;
        }

        public Builder deterministic(boolean deterministic) {
            this.deterministic = deterministic;
            return this;
        }

        public Builder memoryBudget(long memoryBudget) {
            this.memoryBudget = memoryBudget;
            return this;
        }

        public Builder adapterMemoryBudget(long adapterMemoryBudget) {
            this.adapterMemoryBudget = OptionalLong.of(adapterMemoryBudget);
            return this;
        }

        public Builder adapterRefreshInterval(Duration interval) {
            this.adapterRefreshInterval = interval;
            return this;
        }

        public Builder adapterPreload(List<AdapterStack> stacks) {
            this.adapterPreload = List.copyOf(stacks);
            return this;
        }

        public Builder loraBatching(LoraBatching loraBatching) {
            this.loraBatching = loraBatching;
            return this;
        }

        public Builder maxAdaptersPerBatch(int maxAdaptersPerBatch) {
            this.maxAdaptersPerBatch = maxAdaptersPerBatch;
            return this;
        }

        public Builder prefixSharing(boolean prefixSharing) {
            this.prefixSharing = prefixSharing;
            return this;
        }

        public Builder answerMemo(long bytes) {
            this.answerMemo = bytes;
            return this;
        }

        public Builder idleTimeout(Duration idleTimeout) {
            this.idleTimeout = idleTimeout;
            return this;
        }

        public EngineOptions build() {
            return new EngineOptions(
                    model,
                    modelDigest,
                    adapters.orElseGet(() -> new LocalAdapters(adapterFolder, adapterFiles)),
                    engine,
                    contextSize,
                    parallelSequences,
                    batchSize,
                    threads,
                    gpuLayers,
                    gpuDevice,
                    modelLoading,
                    packedWeights,
                    deterministic,
                    memoryBudget,
                    adapterMemoryBudget,
                    adapterRefreshInterval,
                    adapterPreload,
                    loraBatching,
                    maxAdaptersPerBatch,
                    prefixSharing,
                    answerMemo,
                    idleTimeout);
        }
    }
}
