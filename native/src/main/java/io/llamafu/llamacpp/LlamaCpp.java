package io.llamafu.llamacpp;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * The JNI surface of {@code libllamafu}. Nothing is validated here: callers pass only what llama.cpp can bear, and a
 * handle is the address of a native object that {@link NativeHandle} keeps alive. Failures are thrown as
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
     * A gpuDevice of -1 is all of them. {@code map} maps the file in place of reading it. Asks {@code goingOn} before each
     * tensor; if that says no, the model is not loaded.
     */
    static native long loadModel(byte[] path, int gpuLayers, int gpuDevice, boolean map, BooleanSupplier goingOn);

    /** Bytes of weights, memory of the sequences, and scratch that a model and its context would take. */
    static native long[] memoryNeeded(
            byte[] path,
            int gpuLayers,
            int gpuDevice,
            int cellsPerSequence,
            int maxSequences,
            int batchSize,
            int threads);

    static native void freeModel(long model);

    /** See {@link LlamaModel.Figures}, in its order; flags are 0 or 1. */
    static native long[] modelFigures(long model);

    static native byte[] modelDescription(long model);

    /** See {@link Vocabulary} for the layout. */
    static native byte[] vocabulary(long model);

    /** Null for a text of more than {@code most} tokens. */
    static native int[] tokenize(long model, byte[] utf8, int most);

    /** Of the calling thread: where cores are short, those that decode come first. */
    static native void lowerThreadPriority();

    /** Runs {@code giveWay} after each MiB that it has read. */
    static native long loadAdapter(long model, byte[] path, Runnable giveWay);

    /** Its memory, if it is large, is kept for the next adapter of its size until {@link #releaseAdapterMemory}. */
    static native void freeAdapter(long adapter);

    /** Gives the memory of adapters that were freed {@code age} milliseconds ago, or earlier, to the system. */
    static native void releaseAdapterMemory(int age);

    static native long adapterBytes(long adapter);

    static native long createContext(
            long model,
            int cellsPerSequence,
            int maxSequences,
            int batchSize,
            int threads,
            boolean mixed,
            ByteBuffer batch,
            ByteBuffer round);

    static native void freeContext(long context);

    /** 0 is success, 1 no free cells, 2 aborted, negative an error. */
    static native int decode(long context, int tokens);

    /** Null, or in UTF-8 a line for each of the rows that got the token -1: the name of an error code and a message. */
    static native byte[] sample(long context, int rows);

    static native void abort(long context);

    /** Removes the cells of a sequence from a position on; false if only the whole sequence can be removed. */
    static native boolean removeCells(long context, int sequence, int fromPosition);

    static native void setContextAdapters(long context, long[] adapters, float[] scales);

    static native void setSequenceAdapters(long context, int sequence, long[] adapters, float[] scales);

    /** In UTF-8, for each weight that the model multiplies: its name, a blank, and why adapters of it are refused. */
    static native byte[] products(long context);

    static native void releaseAdapter(long context, long adapter);

    /** Bytes of weights, key-value cache and scratch. */
    static native long[] memory(long context);

    static native long createSampler(
            long model,
            float temperature,
            int topK,
            float topP,
            float minP,
            float typicalP,
            boolean mirostat,
            float mirostatTau,
            float mirostatEta,
            float repeatPenalty,
            float frequencyPenalty,
            float presencePenalty,
            int penaltyLastTokens,
            int seed,
            int[] biasTokens,
            float[] biases,
            byte[] grammar);

    static native void freeSampler(long sampler);
}
