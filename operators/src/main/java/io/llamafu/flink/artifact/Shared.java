package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/**
 * One value per key, for as long as it has users. The first user opens it and the last one closes it; others wait
 * meanwhile. Thread-safe.
 */
final class Shared<K, V extends Shared.Value> {
    private final Map<K, Slot<K, V>> slots = new HashMap<>();

    /** Closing does not throw. */
    interface Value extends AutoCloseable {
        @Override
        void close();
    }

    private static final class Slot<K, V> {
        private final K key;
        /** Held while the value is opened or closed. */
        private final ReentrantLock lock = new ReentrantLock();
        // guarded by slots
        private int users;
        // guarded by the lock
        private V value;

        private Slot(K key) {
            this.key = key;
        }
    }

    /** A use of a value. */
    final class Share implements AutoCloseable {
        private final Slot<K, V> slot;
        private final V value;
        private final AtomicBoolean closed = new AtomicBoolean();

        private Share(Slot<K, V> slot, V value) {
            this.slot = slot;
            this.value = value;
        }

        V value() {
            return value;
        }

        /** Idempotent. */
        @Override
        public void close() {
            if (closed.compareAndSet(false, true)) {
                release(slot);
            }
        }
    }

    /**
     * Joins the users of a value, or opens it.
     *
     * @throws LlamafuException with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if the thread is interrupted while it waits
     */
    Share acquire(K key, Function<K, V> opener) {
        Slot<K, V> slot;
        synchronized (slots) {
            slot = slots.computeIfAbsent(key, Slot::new);
            slot.users++;
        }
        try {
            slot.lock.lockInterruptibly();
            try {
                if (slot.value == null) {
                    slot.value = opener.apply(key);
                }
                return new Share(slot, slot.value);
            } finally {
                slot.lock.unlock();
            }
        } catch (InterruptedException e) {
            release(slot);
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE,
                    "The task was cancelled while it waited for another one to open %s.".formatted(key),
                    e);
        } catch (RuntimeException | Error e) {
            release(slot);
            throw e;
        }
    }

    private void release(Slot<K, V> slot) {
        synchronized (slots) {
            if (--slot.users > 0) {
                return;
            }
        }
        slot.lock.lock();
        try {
            synchronized (slots) {
                if (slot.users > 0) {
                    return;
                }
            }
            if (slot.value != null) {
                slot.value.close();
                slot.value = null;
            }
            // A user that arrived during the close waits for the slot, and opens the value again.
            synchronized (slots) {
                if (slot.users == 0) {
                    slots.remove(slot.key, slot);
                }
            }
        } finally {
            slot.lock.unlock();
        }
    }
}
