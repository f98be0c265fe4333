package io.llamafu.flink.table;

import org.apache.flink.util.function.SerializableFunction;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Keeps what was computed for the latest keys: a query mostly says the same for each record. For one thread; what it keeps
 * does not travel with it.
 */
final class Memo<K, V> implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final int CAPACITY = 64;

    private final SerializableFunction<K, V> compute;

    @Nullable
    private transient Latest<K, V> latest;

    private static final class Latest<K, V> extends LinkedHashMap<K, V> {
        private static final long serialVersionUID = 1L;

        private Latest() {
            super(16, 0.75f, true);
        }

        @Override
        protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
            return size() > CAPACITY;
        }
    }

    Memo(SerializableFunction<K, V> compute) {
        this.compute = compute;
    }

    /** What is thrown while computing is thrown each time. */
    V get(K key) {
        if (latest == null) {
            latest = new Latest<>();
        }
        V value = latest.get(key);
        if (value == null) {
            value = compute.apply(key);
            latest.put(key, value);
        }
        return value;
    }
}
