package io.llamafu.jllama;

import io.llamafu.adapter.AdapterFile;
import io.llamafu.engine.support.AdapterInventory.InMemory;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A model with the adapters that it was loaded with. A retired one becomes idle when its last user is done.
 * Thread-safe.
 */
final class ModelGeneration {
    private final ModelKey key;
    private final BoundModel model;
    private final Map<String, Integer> idsByDigest = new HashMap<>();
    private final List<InMemory> adapters;
    private final String modelDigest;
    // guarded by this
    private int users;
    private boolean retired;

    /**
     * @param adapters in the order of the model's arguments
     * @param modelDigest SHA-256 of the model file
     */
    ModelGeneration(ModelKey key, BoundModel model, List<InMemory> adapters, String modelDigest) {
        this.key = key;
        this.model = model;
        this.adapters = List.copyOf(adapters);
        this.modelDigest = modelDigest;
        for (InMemory adapter : adapters) {
            idsByDigest.putIfAbsent(adapter.file().digest(), idsByDigest.size());
        }
    }

    BoundModel model() {
        return model;
    }

    String modelDigest() {
        return modelDigest;
    }

    boolean hasAll(List<AdapterFile> adapters) {
        return adapters.stream().allMatch(adapter -> idsByDigest.containsKey(adapter.digest()));
    }

    int id(AdapterFile adapter) {
        return idsByDigest.get(adapter.digest());
    }

    /** At scale 1. */
    double strength(AdapterFile adapter) {
        return adapters.stream()
                .filter(loaded -> loaded.file().digest().equals(adapter.digest()))
                .findFirst()
                .orElseThrow()
                .info()
                .strength();
    }

    int adapterCount() {
        return idsByDigest.size();
    }

    List<InMemory> adapters() {
        return adapters;
    }

    long adapterBytes() {
        return adapters.stream().mapToLong(InMemory::bytes).sum();
    }

    /** Starts a use; false if the model is retired. */
    synchronized boolean acquire() {
        if (retired) {
            return false;
        }
        users++;
        return true;
    }

    synchronized void release() {
        users--;
        keepIfUnused();
    }

    /** Accepts no more users. */
    synchronized void retire() {
        if (!retired) {
            retired = true;
            keepIfUnused();
        }
    }

    private void keepIfUnused() {
        if (retired && users == 0) {
            IdleModels.keep(key, model);
        }
    }
}
