package io.llamafu.llamacpp;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * The JNI surface of {@code libllamafu}. Nothing is validated here: callers pass only values that llama.cpp
 * accepts. A handle is the address of a native object that {@link NativeHandle} keeps alive. Failures are thrown as
 * {@link io.llamafu.LlamafuException}.
 */
final class LlamaCpp {

    static {
        NativeLibrary.load();
        initialize();
    }

    private LlamaCpp() {}

    private static native void initialize();

    /** Log lines since the last call, each as a digit (2 info, 3 warn, 4 error) and the text, in UTF-8. */
    static native byte[] drainLog();

    /**
     * A gpuDevice of -1 means all GPUs. {@code map} maps the file instead of reading it; {@code packed} lays weights out
     * for our kernels. {@code goingOn} is called before each tensor; if it returns false, loading stops.
     */
    static native long loadModel(
            byte[] path, int gpuLayers, int gpuDevice, boolean map, boolean packed, BooleanSupplier goingOn);

    /**
     * The bytes of weights, sequence memory and scratch that a model and its context would need; parameters are those of
     * {@link #loadModel} and {@link #createContext}.
     */
    static native long[] memoryNeeded(
            byte[] path,
            int gpuLayers,
            int gpuDevice,
            boolean packed,
            int cellsPerSequence,
            int maxSequences,
            int batchSize,
            int threads,
            boolean deterministic);

    static native void freeModel(long model);

    /** See {@link LlamaModel.Figures}, in its order; flags are 0 or 1. */
    static native long[] modelFigures(long model);

    static native byte[] modelDescription(long model);

    /** See {@link Vocabulary} for the layout. */
    static native byte[] vocabulary(long model);

    /**
     * Null for a text of more than {@code most} tokens. The parts are its lengths in bytes, alternately of what holds no
     * control tokens and of what may.
     */
    static native int[] tokenize(long model, byte[] utf8, int[] parts, int most);

    /** Lowers the priority of the calling thread below that of the threads that decode. */
    static native void lowerThreadPriority();

    /**
     * Runs {@code giveWay} after each MiB read. If {@code mixed}, the adapter is laid out for {@link
     * #setSequenceAdapters}, and {@link #setContextAdapters} must not get it.
     */
    static native long loadAdapter(long model, byte[] path, boolean mixed, Runnable giveWay);

    /** Keeps the memory of a large adapter for the next one of its size until {@link #releaseAdapterMemory}. */
    static native void freeAdapter(long adapter);

    /** Returns the memory of adapters that were freed at least {@code age} milliseconds ago to the system. */
    static native void releaseAdapterMemory(int age);

    static native long adapterBytes(long adapter);

    /** With {@code deterministic}, a model whose rows could depend on their batch is refused. */
    static native long createContext(
            long model,
            int cellsPerSequence,
            int maxSequences,
            int batchSize,
            int threads,
            boolean mixed,
            boolean deterministic,
            ByteBuffer batch,
            ByteBuffer round);

    static native void freeContext(long context);

    /** How many rows of a batch may have outputs. */
    static native int mostOutputs(long context);

    /** Returns the code of a {@link DecodeStatus}. */
    static native int decode(long context, int tokens);

    /** Null, or in UTF-8 one line for each row with token -1: the name of an error code and a message. */
    static native byte[] sample(long context, int rows);

    /** Returns one of the candidates, and writes their logits. */
    static native int choose(long context, long sampler, int batchRow, int[] candidates, float[] logits);

    /** Takes tokens of the answer from an index on, which the sampler did not choose. */
    static native void acceptTokens(long sampler, int[] tokens, int from);

    /** Of these tokens, among the whole vocabulary. */
    static native float[] logProbabilities(long context, int batchRow, int[] tokens);

    /** The logits of a row of the batch whose output was wanted, one for each token of the vocabulary. */
    static native float[] logits(long context, int batchRow);

    static native void abort(long context);

    /** Removes the cells of a sequence from a position on; false if only the whole sequence can be removed. */
    static native boolean removeCells(long context, int sequence, int fromPosition);

    /** What can be done with the cells of a sequence: 0 nothing, 1 copy them, 2 also park them. */
    static native int cellSharing(long context);

    /** Replaces the cells of a sequence by the first of another; false, with nothing changed, if that is impossible. */
    static native boolean copyCells(long context, int source, int target, int count);

    /**
     * Copies the first cells of a sequence to cells of another that llama.cpp takes for empty; false, with a worthless copy, if
     * they are not finite.
     */
    static native boolean parkCells(long context, int source, int count, int holder, int first);

    /** Replaces the cells of a sequence by parked ones. */
    static native void unparkCells(long context, int holder, int first, int[] tokens, int target);

    static native void setContextAdapters(long context, long[] adapters, float[] scales);

    static native void setSequenceAdapters(long context, int sequence, long[] adapters, float[] scales);

    /** In UTF-8, one line for each weight that the model multiplies: its name, a blank, and why adapters of it are refused. */
    static native byte[] products(long context);

    static native void releaseAdapter(long context, long adapter);

    /** Bytes of weights, key-value cache and scratch. */
    static native long[] memory(long context);

    /** See {@link PackedSampling} for the numbers. */
    static native long createSampler(
            long model, long grammars, byte[] samplingNumbers, int[] biasTokens, float[] biases, byte[] grammar);

    /** The tokens that follow because the grammar allows nothing else; the sampler has taken them. None if there are more. */
    static native int[] takeForced(long sampler, int most);

    /** What the samplers of a model know of its grammars. It must outlive them. */
    static native long createGrammars(long model);

    static native void freeGrammars(long grammars);

    static native void freeSampler(long sampler);
}
