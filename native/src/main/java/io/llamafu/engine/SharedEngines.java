package io.llamafu.engine;

/** One engine per JVM and option set, reference-counted and kept warm. */
public final class SharedEngines {
    private SharedEngines() {}

    /**
     * Opens or joins the engine of these options.
     *
     * @return a lease; the engine lives until the last lease is closed and its idle timeout has passed
     */
    public static Lease acquire(EngineOptions options) {
        throw new UnsupportedOperationException();
    }

    /** A share of an engine. Closing it twice is harmless. */
    public interface Lease extends AutoCloseable {
        InferenceEngine engine();

        @Override
        void close();
    }
}
