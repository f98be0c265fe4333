package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineProvider.NeededMemory;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.SharedEngines;
import io.llamafu.gguf.ModelFile;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The options {@code memory-budget} and {@code adapters.memory-budget}. */
public final class MemoryBudget {
    private static final Pattern BLOCK = Pattern.compile("blk\\.(\\d{1,6})\\.");
    /** Room for some adapters of a small model, or one of a large model, on a machine that has no memory left. */
    private static final long LEAST_FOR_ADAPTERS = 64L << 20;

    private MemoryBudget() {}

    /**
     * Refuses a model whose weights and sequence memory, as computed from the file, exceed the budget.
     *
     * @throws LlamafuException with OUT_OF_MEMORY
     */
    public static void checkBeforeLoading(EngineOptions options, ModelFile file) {
        long cacheBytes = keyValueBytes(options, file);
        long weights = file.gguf().tensorBytes();
        check(
                options,
                weights + cacheBytes,
                "the weights are %d bytes and the key-value cache %d".formatted(weights, cacheBytes));
    }

    /**
     * {@link io.llamafu.engine.EngineProvider#inspect} of engines whose models are such files.
     *
     * @throws LlamafuException with MODEL_NOT_FOUND, MODEL_INVALID or OUT_OF_MEMORY
     */
    public static ModelChat inspect(EngineOptions options) {
        ModelFile file = ModelFile.read(options.model());
        checkBeforeLoading(options, file);
        return new ModelChat(file.chatTemplate(), file.specialTokens());
    }

    /** Weights and sequence memory, as computed from the file; none if it cannot be read. */
    public static NeededMemory foretold(EngineOptions options) {
        try {
            ModelFile file = ModelFile.read(options.model());
            long total = file.gguf().tensorBytes() + keyValueBytes(options, file);
            long gpu = gpuBytes(options, file);
            return new NeededMemory(total - gpu, gpu);
        } catch (LlamafuException e) {
            return NeededMemory.NONE;
        }
    }

    /** llama.cpp puts the last layers on the GPU, where the output is one more; the embeddings of tokens stay outside. */
    private static long gpuBytes(EngineOptions options, ModelFile file) {
        int layers = file.blockCount() + 1;
        int onGpu = options.gpuLayers() < 0 ? layers : Math.min(options.gpuLayers(), layers);
        if (onGpu == 0) {
            return 0;
        }
        int first = layers - onGpu;
        long weights = file.gguf().tensors().entrySet().stream()
                .filter(tensor -> layer(tensor.getKey(), file.blockCount()) >= first)
                .mapToLong(tensor -> tensor.getValue().byteSize())
                .sum();
        return weights + keyValueBytes(options, file) / file.blockCount() * (file.blockCount() - first);
    }

    /**
     * The most bytes of adapters in memory; 0 is no limit. Without the option it is half of the memory that heap and engines
     * leave, because Flink and the JVM need some of it too. At least 64 MB, so that a full machine still answers.
     *
     * @param engine the memory of the engine that is being opened
     */
    public static long ofAdapters(EngineOptions options, EngineMetrics.Memory engine) {
        return options.adapterMemoryBudget().orElseGet(() -> {
            long gpu = options.gpuLayers() == 0 ? 0 : foretold(options).gpu();
            long left = SharedEngines.bytesLeftFor(options) - (engine.total() - gpu);
            return Math.max(LEAST_FOR_ADAPTERS, left / 2);
        });
    }

    private static int layer(String tensor, int output) {
        Matcher block = BLOCK.matcher(tensor);
        if (block.lookingAt()) {
            return Integer.parseInt(block.group(1));
        }
        return tensor.startsWith("token_embd") ? -1 : output;
    }

    /** Bytes of the key-value cache and the states of all sequences. */
    public static long keyValueBytes(EngineOptions options, ModelFile file) {
        return file.memory().bytes(options.parallelSequences(), Math.min(options.contextSize(), file.contextLength()));
    }

    /**
     * Refuses more than the budget.
     *
     * @param needed bytes
     * @param need what follows "but for MODEL" in the message
     * @throws LlamafuException with OUT_OF_MEMORY
     */
    public static void check(EngineOptions options, long needed, String need) {
        if (options.memoryBudget() > 0 && needed > options.memoryBudget()) {
            throw new LlamafuException(
                    ErrorCode.OUT_OF_MEMORY,
                    "memory-budget is %d bytes, but for %s %s; raise it, or lower context-size or parallel-sequences."
                            .formatted(options.memoryBudget(), options.model(), need));
        }
    }
}
