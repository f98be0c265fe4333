package io.llamafu.jllama;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Models that no engine uses. java-llama.cpp 4.2.0 never frees a model (its {@code delete} only ends the thread), so
 * they are kept for the next engine with the same parameters, instead of being loaded and leaked again.
 */
final class IdleModels {
    private static final Map<ModelKey, Deque<BoundModel>> IDLE = new HashMap<>();

    private IdleModels() {}

    static synchronized Optional<BoundModel> take(ModelKey key) {
        Deque<BoundModel> models = IDLE.get(key);
        return models == null ? Optional.empty() : Optional.ofNullable(models.poll());
    }

    /** Keeps a model, which must be idle. */
    static synchronized void keep(ModelKey key, BoundModel model) {
        IDLE.computeIfAbsent(key, absent -> new ArrayDeque<>()).add(model);
    }

    static synchronized int count() {
        return IDLE.values().stream().mapToInt(Deque::size).sum();
    }
}
