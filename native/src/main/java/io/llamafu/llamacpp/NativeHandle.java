package io.llamafu.llamacpp;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Owns one native object. It is freed only when nobody uses it: {@link #acquire} and {@link #release} count the users,
 * and {@link #close} refuses while there are any.
 */
abstract class NativeHandle implements AutoCloseable {
    private static final int CLOSED = -1;

    private final long address;
    private final AtomicInteger users = new AtomicInteger();

    NativeHandle(long address) {
        this.address = address;
    }

    /** The address, for calls between {@link #acquire} and {@link #release}. */
    final long acquire() {
        if (users.getAndUpdate(count -> count == CLOSED ? CLOSED : count + 1) == CLOSED) {
            throw new IllegalStateException("%s was closed.".formatted(this));
        }
        return address;
    }

    /** Throws if nobody uses it: another's use would end too early, and its memory be freed under it. */
    final void release() {
        if (users.getAndUpdate(count -> count > 0 ? count - 1 : count) <= 0) {
            throw new IllegalStateException("%s was released more often than it was acquired.".formatted(this));
        }
    }

    /** Idempotent. */
    @Override
    public final void close() {
        int found = users.compareAndExchange(0, CLOSED);
        if (found == 0) {
            free(address);
        } else if (found != CLOSED) {
            throw new IllegalStateException("%s cannot be closed: it has %d users.".formatted(this, found));
        }
    }

    abstract void free(long nativeAddress);

    @Override
    public String toString() {
        return getClass().getSimpleName() + "@" + Long.toHexString(address);
    }
}
