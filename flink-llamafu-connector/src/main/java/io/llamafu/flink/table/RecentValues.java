package io.llamafu.flink.table;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * Caches values for the most recent keys, because a query mostly repeats a few. For one thread; the values are not
 * serialized.
 */
final class RecentValues<K, V> implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final int CAPACITY = 64;

    @Nullable
    private transient Map<K, V> values;

    private static final class LeastRecentlyUsed<K, V> extends LinkedHashMap<K, V> {
        private static final long serialVersionUID = 1L;

        private LeastRecentlyUsed() {
            super(16, 0.75f, true);
        }

        @Override
        protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
            return size() > CAPACITY;
        }
    }

    /** Exceptions of the computation are not cached. */
    V get(K key, Function<K, V> compute) {
        if (values == null) {
            values = new LeastRecentlyUsed<>();
        }
        return values.computeIfAbsent(key, compute);
    }
}
