package io.llamafu.jllama;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.engine.support.AdapterInventory.InMemory;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/** The newest generation of the model. A request that needs an adapter which it lacks replaces it. Thread-safe. */
final class LoadedModel {
    private static final Logger LOG = LoggerFactory.getLogger(LoadedModel.class);

    private final ModelLoader loader;
    private final AtomicLong adapterLoads = new AtomicLong();

    private volatile ModelGeneration current;
    private volatile boolean closed;

    /** Loads the model; {@code required} as in {@link ModelLoader#load}. */
    LoadedModel(ModelLoader loader, List<AdapterFile> required) {
        this.loader = loader;
        this.current = load(required);
    }

    private ModelGeneration load(List<AdapterFile> required) {
        ModelGeneration generation = loader.load(required);
        adapterLoads.addAndGet(generation.adapterCount());
        return generation;
    }

    boolean hasAll(List<AdapterFile> adapters) {
        return current.hasAll(adapters);
    }

    /** The current model, or a new one if it lacks an adapter; the caller releases it. */
    ModelGeneration acquire(List<AdapterFile> adapters) {
        ModelGeneration generation = current;
        if (generation.hasAll(adapters) && generation.acquire()) {
            return generation;
        }
        synchronized (this) {
            if (closed) {
                throw LlamafuException.engineClosed();
            }
            if (!current.hasAll(adapters)) {
                LOG.info("Loading the model again, for adapters that it was not loaded with.");
                ModelGeneration previous = current;
                current = load(adapters);
                previous.retire();
            }
            if (!current.acquire()) {
                throw LlamafuException.engineClosed();
            }
            return current;
        }
    }

    List<InMemory> adapters() {
        return current.adapters();
    }

    int adapterCount() {
        return current.adapterCount();
    }

    long adapterBytes() {
        return current.adapterBytes();
    }

    /** The adapters of all generations. */
    long adapterLoads() {
        return adapterLoads.get();
    }

    boolean isClosed() {
        return closed;
    }

    /** Accepts no more users; false if it was closed before. */
    synchronized boolean close() {
        if (closed) {
            return false;
        }
        closed = true;
        current.retire();
        return true;
    }
}
