package io.llamafu.engine;

/**
 * A kind of engine, found by {@link java.util.ServiceLoader}.
 *
 * <p>Several may be on the class path; {@link SharedEngines} opens the one that the options name, or the available one
 * of the highest priority.
 */
public interface EngineProvider {

    /** The value of the option {@code engine} that selects it, such as {@code native}. */
    String name();

    /** The engine of the highest priority is used if the job does not name one. */
    int priority();

    /** Whether there is a library for this operating system and architecture; loads nothing. */
    boolean isAvailable();

    /**
     * The memory that an engine of these options will need, without adapters; none if unknown, such as for a model file
     * that {@link #open} will reject. Does not throw, and loads nothing.
     */
    NeededMemory neededMemory(EngineOptions options);

    /**
     * Refuses what {@link #open} would refuse because of the header of the model's file alone. Opens nothing, and loads no
     * library, so that a job can be checked on a machine that runs no engine.
     *
     * @return what the file says about conversations
     * @throws io.llamafu.LlamafuException with MODEL_NOT_FOUND, MODEL_INVALID or, for a {@code memory-budget} that is too
     *     small, OUT_OF_MEMORY
     */
    ModelChat inspect(EngineOptions options);

    /**
     * What an engine of these options will allocate, without adapters, as exactly as the engine can compute it. Loads no
     * weights; may load a library.
     *
     * @throws io.llamafu.LlamafuException as {@link #open}
     */
    default EngineMetrics.Memory plannedMemory(EngineOptions options) {
        return new EngineMetrics.Memory(neededMemory(options).total(), 0, 0, 0);
    }

    /**
     * Bytes of an engine.
     *
     * @param host in the memory of the machine
     * @param gpu in that of GPUs, where {@code gpu-layers} puts them
     */
    record NeededMemory(long host, long gpu) {
        public static final NeededMemory NONE = new NeededMemory(0, 0);

        public long total() {
            return host + gpu;
        }
    }

    /**
     * Loads the model.
     *
     * @throws io.llamafu.LlamafuException if the options, the platform or the model file do not allow it
     */
    InferenceEngine open(EngineOptions options);
}
