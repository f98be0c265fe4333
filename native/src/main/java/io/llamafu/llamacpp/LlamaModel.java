package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.engine.EngineMetrics;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.Prompt;

import java.util.List;
import java.util.Optional;

import static java.nio.charset.StandardCharsets.UTF_8;

/** A loaded model: weights and vocabulary. Thread-safe. */
final class LlamaModel extends NativeHandle {
    private static final int ALL_GPUS = -1;

    private final Figures figures;
    private final String description;
    private final Vocabulary vocabulary;
    private final long grammars;

    /**
     * llama.cpp's figures of a model.
     *
     * @param trainedContext tokens of context the model was trained for
     * @param vocabularySize number of tokens
     * @param bytes size of the weights
     * @param parameters number of weights
     * @param decoder whether it generates each token from those before it, without an encoder
     */
    record Figures(int trainedContext, int vocabularySize, long bytes, long parameters, boolean decoder) {}

    private LlamaModel(long address) {
        super(address);
        long[] values = LlamaCpp.modelFigures(address);
        this.figures = new Figures(
                Math.toIntExact(values[0]), Math.toIntExact(values[1]), values[2], values[3], values[4] == 1);
        this.description = new String(LlamaCpp.modelDescription(address), UTF_8);
        this.vocabulary = new Vocabulary(LlamaCpp.vocabulary(address));
        this.grammars = LlamaCpp.createGrammars(address);
    }

    /**
     * Loads a model file that {@code io.llamafu.gguf} has validated; llama.cpp itself may abort on a hostile one. An interrupt
     * of the thread stops the load before the next tensor.
     *
     * @throws LlamafuException with MODEL_LOAD_FAILED, OUT_OF_MEMORY, INVALID_OPTION for a GPU where there is none, or
     *     ENGINE_CLOSED if the thread was interrupted
     */
    static LlamaModel load(EngineOptions options) {
        long address;
        try {
            address = LlamaCpp.loadModel(
                    path(options),
                    options.gpuLayers(),
                    options.gpuDevice().orElse(ALL_GPUS),
                    options.modelLoading() == ModelLoading.MAP,
                    isPacked(options),
                    () -> !Thread.currentThread().isInterrupted());
        } catch (LlamafuException e) {
            if (Thread.currentThread().isInterrupted()) {
                throw new LlamafuException(
                        ErrorCode.ENGINE_CLOSED, "Loading %s was cancelled.".formatted(options.model()), e);
            }
            throw e;
        }
        try {
            return new LlamaModel(address);
        } catch (RuntimeException | Error e) {
            LlamaCpp.freeModel(address);
            throw e;
        }
    }

    /**
     * The memory that the model and a context for it would need. Reads only the header.
     *
     * @throws LlamafuException as {@link #load}
     */
    static EngineMetrics.Memory memoryNeeded(EngineOptions options, int cellsPerSequence) {
        long[] bytes = LlamaCpp.memoryNeeded(
                path(options),
                options.gpuLayers(),
                options.gpuDevice().orElse(ALL_GPUS),
                isPacked(options),
                cellsPerSequence,
                options.parallelSequences(),
                options.batchSize(),
                options.threads(),
                options.deterministic());
        return new EngineMetrics.Memory(bytes[0], bytes[1], bytes[2], 0);
    }

    /** A mapped file is shared by processes, which packed weights are not. */
    private static boolean isPacked(EngineOptions options) {
        return options.packedWeights() && options.modelLoading() == ModelLoading.READ;
    }

    private static byte[] path(EngineOptions options) {
        return options.model().toString().getBytes(UTF_8);
    }

    Figures figures() {
        return figures;
    }

    /** Such as {@code llama 1B Q4_0}. */
    String description() {
        return description;
    }

    Vocabulary vocabulary() {
        return vocabulary;
    }

    /** The address of what its samplers know of grammars; valid as long as the model is. */
    long grammars() {
        return grammars;
    }

    /**
     * Tokens of a prompt, with the beginning-of-sequence token where the model has one.
     *
     * @param utf8 the text of the prompt
     * @param most the limit on their number
     * @return empty if there are more
     */
    Optional<int[]> tokenize(Prompt prompt, byte[] utf8, int most) {
        long address = acquire();
        try {
            return Optional.ofNullable(LlamaCpp.tokenize(address, utf8, lengths(prompt), most));
        } finally {
            release();
        }
    }

    /** Bytes of the parts, alternately without and with control tokens. */
    private static int[] lengths(Prompt prompt) {
        List<Prompt.Part> parts = prompt.parts();
        int first = !parts.isEmpty() && parts.get(0).controlTokens() ? 1 : 0;
        int[] lengths = new int[first + parts.size()];
        for (int i = 0; i < parts.size(); i++) {
            lengths[first + i] = Utf8.length(parts.get(i).text());
        }
        return lengths;
    }

    @Override
    void free(long address) {
        LlamaCpp.freeGrammars(grammars);
        LlamaCpp.freeModel(address);
    }
}
