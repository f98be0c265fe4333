package io.llamafu.flink.table;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/** Keeps what was computed for the latest keys: a query mostly says the same for each record. For one thread. */
final class Memo<K, V> {
    private static final int CAPACITY = 64;

    private final Function<K, V> compute;
    private final Map<K, V> values = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
            return size() > CAPACITY;
        }
    };

    Memo(Function<K, V> compute) {
        this.compute = compute;
    }

    /** What is thrown while computing is thrown each time. */
    V get(K key) {
        V value = values.get(key);
        if (value == null) {
            value = compute.apply(key);
            values.put(key, value);
        }
        return value;
    }
}
