package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions;
import io.llamafu.gguf.ModelFile;

/** The option {@code memory-budget}: what would exceed it is refused, with the figures. */
public final class MemoryBudget {
    private MemoryBudget() {}

    /**
     * Refuses what can be foretold from the file: weights, and the memory of the sequences.
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

    /** What can be foretold from the file, in bytes; 0 if it cannot be read. */
    public static long foretold(EngineOptions options) {
        try {
            ModelFile file = ModelFile.read(options.model());
            return file.gguf().tensorBytes() + keyValueBytes(options, file);
        } catch (LlamafuException e) {
            return 0;
        }
    }

    /** Bytes of the key-value cache and the states of all sequences. */
    public static long keyValueBytes(EngineOptions options, ModelFile file) {
        return file.memory().bytes(options.parallelSequences(), Math.min(options.contextSize(), file.contextLength()));
    }

    /**
     * Compares with the budget.
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
