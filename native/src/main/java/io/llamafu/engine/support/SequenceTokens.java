package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions;
import io.llamafu.gguf.ModelFile;

/** The option {@code context-size}. */
public final class SequenceTokens {
    /** llama.cpp counts the cells of all sequences in 32 bits, after rounding those of each up to 256. */
    private static final long MOST_CELLS = (1L << 31) - (256L << 8);

    private SequenceTokens() {}

    /**
     * The most tokens of a sequence, prompt and answer: at most the context that the model was trained for.
     *
     * @throws LlamafuException with INVALID_OPTION if all sequences together have more cells than llama.cpp can count
     */
    public static int of(EngineOptions options, ModelFile file) {
        int tokens = Math.min(options.contextSize(), file.contextLength());
        long cells = (long) tokens * options.parallelSequences();
        if (cells > MOST_CELLS) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "context-size is %d and the model was trained for %d tokens: %d cells for parallel-sequences = %d, but at most %d are possible; lower one of them."
                            .formatted(
                                    options.contextSize(),
                                    file.contextLength(),
                                    cells,
                                    options.parallelSequences(),
                                    MOST_CELLS));
        }
        return tokens;
    }
}
